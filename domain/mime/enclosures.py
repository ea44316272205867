"""What do readers of mail see where a part only wraps what was written?

Outlook's `winmail.dat`, files within the text, and S/MIME and PGP are replaced by what is in them, and what is
encrypted by a sentence that says so. What held them stays as a file where it proves something or can be opened
elsewhere.
"""

from dataclasses import dataclass, replace
from urllib.parse import quote_from_bytes

from domain.mime.armour import ArmouredFile, is_pgp_message, split_pgp_signature, split_uuencoded
from domain.mime.cms import CmsKind, kind_of_cms, signed_content
from domain.mime.file_names import type_by_extension
from domain.mime.structure import Part, read_structure
from domain.mime.tnef import read_tnef

_OPENED = 50
"""Wrapped parts that are opened in one message."""
_OPENED_TNEF = 2
_NESTED = 3
_NAME_BYTES = 1000
_ANY_FILE = "application/octet-stream"
_ENCRYPTED_NOTE = b"This message is encrypted: only the recipient's own mail program can open it."
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_CMS_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


@dataclass(slots=True)
class _Budget:
    """How many wrapped parts may still be opened, and whether the message says something by itself."""

    has_text: bool
    opened: int = _OPENED
    opened_tnef: int = _OPENED_TNEF


def open_enclosures(root: Part) -> Part:
    """The message with its wrapped parts opened; headers as they were. Never raises."""
    return _opened(root, _Budget(has_text=_has_text(root)), depth=0) or root


def _has_text(part: Part) -> bool:
    if part.parts:
        return any(_has_text(child) for child in part.parts)
    return _is_prose(part) and bool(part.content.strip())


def _is_prose(part: Part) -> bool:
    """Whether it is text to be read here, not a file."""
    is_file = part.disposition.value == "attachment" or part.disposition.parameters.get("filename")
    return part.type.value in {"text/plain", "text/html"} and not is_file


def _opened(part: Part, budget: _Budget, *, depth: int) -> Part | None:
    """The part with what is in it; None where nothing is that the message does not say already."""
    if part.type.value == "multipart/encrypted":
        return replace(part, parts=(_encrypted_note(), *part.parts))
    if part.parts:
        children = tuple(_opened(child, budget, depth=depth) for child in part.parts)
        is_as_before = all(child is before for child, before in zip(children, part.parts, strict=True))
        return part if is_as_before else replace(part, parts=tuple(filter(None, children)))
    if budget.opened <= 0:
        return part
    opened = _opened_leaf(part, budget, depth=depth)
    if opened is None:
        return part
    budget.opened -= 1
    return _wrapped(part, opened) if opened else None


def _opened_leaf(part: Part, budget: _Budget, *, depth: int) -> tuple[Part, ...] | None:
    """The parts to be shown in the place of one, which may be none; None where it is shown itself."""
    content_type = part.type.value
    if content_type in _TNEF_TYPES or _file_name(part).lower() == "winmail.dat":
        return _from_tnef(part, budget)
    if content_type in _CMS_TYPES:
        return _from_cms(part, budget, depth=depth)
    if content_type == "text/plain" and _is_prose(part):
        return _from_text(part)
    return None


def _file_name(part: Part) -> str:
    return part.disposition.parameters.get("filename") or part.type.parameters.get("name") or ""


def _wrapped(part: Part, parts: tuple[Part, ...]) -> Part:
    """What stands in the place of `part`: the same message, but with those parts."""
    headers = tuple(header for header in part.headers if not header[0].startswith("content-"))
    return Part((*headers, ("content-type", b"multipart/mixed")), b"", parts)


def _from_tnef(part: Part, budget: _Budget) -> tuple[Part, ...] | None:
    contents = read_tnef(part.content) if budget.opened_tnef > 0 else None
    if contents is None:
        return None
    budget.opened_tnef -= 1
    parts: list[Part] = []
    body = None if budget.has_text else contents.body()
    if body is not None:
        budget.has_text = True
        parts.append(Part((("content-type", body.content_type.encode()),), body.content))
    for file in contents.files:
        if file.content is not None:
            name = (file.name or "").encode("utf-8", "replace")
            content_type = file.content_type or type_by_extension(file.name or "") or _ANY_FILE
            parts.append(_file(name, content_type, file.content, file.content_id))
    return tuple(parts) if parts or budget.has_text else None


def _file(name: bytes, content_type: str, content: bytes, content_id: str | None = None) -> Part:
    disposition = b"attachment"
    if name := name[:_NAME_BYTES]:
        disposition += b"; filename*=utf-8''" + quote_from_bytes(name, safe="").encode()
    headers = [
        ("content-type", content_type.encode("ascii", "replace").replace(b"\r", b"").replace(b"\n", b"")),
        ("content-disposition", disposition),
    ]
    if content_id:
        headers.append(("content-id", content_id.encode("utf-8", "replace")))
    return Part(tuple(headers), content)


def _from_cms(part: Part, budget: _Budget, *, depth: int) -> tuple[Part, ...] | None:
    kind = kind_of_cms(part.content)
    itself = Part(tuple(header for header in part.headers if header[0].startswith("content-")), part.body)
    if kind is CmsKind.ENCRYPTED or part.type.parameters.get("smime-type", "").lower() == "enveloped-data":
        return (_encrypted_note(), itself)
    inner = signed_content(part.content) if kind is CmsKind.SIGNED and depth < _NESTED else None
    if not inner:
        return None
    budget.opened -= 1
    message, _ = read_structure(inner)
    budget.has_text = budget.has_text or _has_text(message)
    return (_opened(message, budget, depth=depth + 1) or message, itself)


def _encrypted_note() -> Part:
    return Part((("content-type", b"text/plain"),), _ENCRYPTED_NOTE)


def _from_text(part: Part) -> tuple[Part, ...] | None:
    text = part.content
    if b"\nbegin " in text or text.startswith(b"begin "):
        text, files = split_uuencoded(text)
        if files:
            return (_text(part, text), *(_uuencoded(file) for file in files))
    if b"-----BEGIN PGP " not in text:
        return None
    if is_pgp_message(text):
        return (_encrypted_note(), _armoured(ArmouredFile(b"message.asc", text), "application/pgp-encrypted"))
    signed = split_pgp_signature(text)
    if signed is None:
        return None
    return (_text(part, signed[0]), _armoured(signed[1], "application/pgp-signature"))


def _text(part: Part, text: bytes) -> Part:
    """The text that is left, in the charset of the part."""
    kept = tuple(header for header in part.headers if header[0] == "content-type")
    return Part(kept, text)


def _armoured(file: ArmouredFile, content_type: str) -> Part:
    return _file(file.name, content_type, file.content)


def _uuencoded(file: ArmouredFile) -> Part:
    return _armoured(file, type_by_extension(file.name.decode("latin-1")) or _ANY_FILE)
