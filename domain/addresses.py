"""When are two mail addresses the same?

`canonical` gives the form in which addresses are stored for matching and compared; `base` gives the form that a
plus-tag, and for Gmail the dots, do not change. Neither is for display or sending: there an address stays as written.

Source: RFC 5322 §3.4.1 (addr-spec), RFC 6531 §3.3 (non-ASCII local parts), RFC 5321 §4.5.3.1 (lengths), UTS #46.
"""

import re
import unicodedata
from functools import lru_cache

import idna

_LOCAL_PART_OCTETS = 64
_DOMAIN_OCTETS = 255
_ADDRESS_OCTETS = 254
"""RFC 5321 allows 256 for a path, and a path has angle brackets around the address."""

_INPUT_LENGTH = 1024
"""Longer texts are no addresses; it bounds the work on hostile input, with room for white space around."""

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
"""A host label, and underscores: such domains exist and receive mail."""

_PLAIN = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*@(?:{_LABEL}\.)*{_LABEL}")
_ATOM = re.compile(rf"[\u0080-\U0010ffff{_ATEXT}]+")
_ASCII_LABEL = re.compile(_LABEL)
_ASCII_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_ADDRESS_LITERAL = re.compile(r"\[[!-Z^-~]+\]")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_QUOTED_CONTENT = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)

_GMAIL_DOMAINS = frozenset({"gmail.com", "googlemail.com"})
"""Source: https://support.google.com/mail/answer/7436150 (dots), /answer/10313 (googlemail), November 2026."""


def canonical(address: str) -> str | None:
    """The form in which two spellings of one address are equal; None where it is no valid addr-spec. Never raises.

    White space around is dropped, case is folded in both parts, the domain is in its ASCII (IDNA) form, and a quoted
    local part loses quotes it does not need. Bare local parts with dots in odd places (`a..b@`), which some Japanese
    carriers gave out, count as if they were quoted. Idempotent.
    """
    if len(address) > _INPUT_LENGTH:
        return None
    address = address.strip()
    if address.isascii() and _PLAIN.fullmatch(address):
        local_part, _, domain = address.lower().rpartition("@")
        if "xn--" not in domain:
            return _joined(local_part, domain)
    return _canonical_of_odd(address)


def base(canonical_address: str) -> str:
    """The canonical address without its plus-tag; at Gmail without dots too, and under gmail.com. Idempotent."""
    local_part, _, domain = canonical_address.rpartition("@")
    if local_part.startswith('"'):
        return canonical_address
    untagged = local_part.partition("+")[0]
    if domain in _GMAIL_DOMAINS:
        domain, untagged = "gmail.com", untagged.replace(".", "")
    if not untagged or untagged.endswith("."):
        untagged = local_part
    return f"{untagged}@{domain}"


def domain_of(canonical_address: str) -> str:
    """The domain of a canonical address, in its ASCII form."""
    return canonical_address.rpartition("@")[2]


@lru_cache(maxsize=8192)
def normalise_domain(text: str) -> str | None:
    """The ASCII form of a domain as a person writes it; None where it is none. Never raises.

    White space around, one `@` before it (`@example.org`) and the root's dot after it are accepted.
    """
    if len(text) > _INPUT_LENGTH:
        return None
    return _domain(text.strip().removeprefix("@").removesuffix("."))


def _canonical_of_odd(address: str) -> str | None:
    """`canonical` for what is not plain ASCII: quotes, other scripts, address literals."""
    written_local_part, at, written_domain = address.rpartition("@")
    if not at:
        return None
    domain = written_domain.lower() if _ADDRESS_LITERAL.fullmatch(written_domain) else _domain(written_domain)
    local_part = _local_part(written_local_part)
    if domain is None or local_part is None:
        return None
    return _joined(local_part, domain)


def _joined(local_part: str, domain: str) -> str | None:
    local_octets = len(local_part.encode())
    if local_octets > _LOCAL_PART_OCTETS or local_octets + 1 + len(domain) > _ADDRESS_OCTETS:
        return None
    return f"{local_part}@{domain}"


def _local_part(written: str) -> str | None:
    content = written
    is_quoted = len(written) > 1 and written[0] == written[-1] == '"'
    if is_quoted:
        content = written[1:-1]
        if not _QUOTED_CONTENT.fullmatch(content):
            return None
        content = _QUOTED_PAIR.sub(r"\1", content)
    content = _folded(content)
    if not content or any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in content):
        return None
    atoms = content.split(".")
    if all(_is_atom(atom) for atom in atoms):
        return content
    if is_quoted or all(not atom or _is_atom(atom) for atom in atoms):
        escaped = content.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return None


def _is_atom(text: str) -> bool:
    return bool(_ATOM.fullmatch(text)) and not any(character.isspace() for character in text)


def _folded(text: str) -> str:
    """Case-folded NFC. Composing can bring back what folding took apart, so both repeat until nothing changes."""
    for _ in range(4):
        folded = unicodedata.normalize("NFC", text.casefold())
        if folded == text:
            break
        text = folded
    return text


def _domain(text: str) -> str | None:
    if text.isascii() and "xn--" not in text.lower():
        domain = text.lower()
        return domain if len(domain) <= _DOMAIN_OCTETS and _ASCII_DOMAIN.fullmatch(domain) else None
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
        labels = [_ascii_label(label) for label in mapped.split(".")]
    except (idna.IDNAError, UnicodeError):
        return None
    domain = ".".join(labels)
    return domain if len(domain) <= _DOMAIN_OCTETS and _ASCII_DOMAIN.fullmatch(domain) else None


def _ascii_label(label: str) -> str:
    """The A-label. A ready-made one that IDNA 2008 forbids (an emoji domain) is kept: it has no other spelling.

    Raises:
        idna.IDNAError: the label is not a possible one.
    """
    if not label.isascii():
        return idna.alabel(label).decode("ascii")
    if label.startswith("xn--"):
        try:
            return idna.alabel(idna.ulabel(label)).decode("ascii")
        except idna.IDNAError:
            return label
    return label
