"""How does a folder's name travel: modified UTF-7 (RFC 3501 §5.1.3), both ways, for any script."""

import binascii
import re

_ENCODED = re.compile(r"&([A-Za-z0-9+,]*)-")
_TO_ENCODE = re.compile(r"[^\x20-\x7e]+|&")


def encode(name: str) -> str:
    """The name as it goes over the wire: printable ASCII only."""
    return _TO_ENCODE.sub(lambda run: _encode_run(run.group()), name)


def decode(wire: str) -> str:
    """The name as people write it; a run that is not valid stays as it is."""
    return _ENCODED.sub(_decode_run, wire)


def _encode_run(run: str) -> str:
    if run == "&":
        return "&-"
    packed = binascii.b2a_base64(run.encode("utf-16-be", "surrogatepass"), newline=False)
    return f"&{packed.rstrip(b'=').replace(b'/', b',').decode('ascii')}-"


def _decode_run(run: re.Match[str]) -> str:
    packed = run.group(1).replace(",", "/")
    if not packed:
        return "&"
    try:
        return binascii.a2b_base64(packed + "=" * (-len(packed) % 4)).decode("utf-16-be")
    except ValueError:  # binascii.Error and UnicodeDecodeError are both
        return run.group()
