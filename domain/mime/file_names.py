"""Under what name may a file that came by mail be shown and saved?"""

import re
import unicodedata

_NAME_BYTES = 200
"""Below the 255 of common file systems, with room for what a browser adds."""
_EXTENSION_LENGTH = 16

_EXTENSIONS = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/msword": ".doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/ms-tnef": ".dat",
    "application/pgp-encrypted": ".asc",
    "application/json": ".json",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/external-body": ".txt",
    "message/feedback-report": ".txt",
    "message/global": ".eml",
    "message/global-delivery-status": ".txt",
    "message/partial": ".eml",
    "message/rfc822": ".eml",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/vcard": ".vcf",
}

_TYPES = {
    **{extension: content_type for content_type, extension in _EXTENSIONS.items() if extension not in {".asc", ".dat"}},
    ".jpeg": "image/jpeg",
    ".htm": "text/html",
    ".ics": "text/calendar",
    ".txt": "text/plain",
    ".eml": "message/rfc822",
}
_USUAL_NAMES = {
    "application/pgp-signature": "signature.asc",
    "application/pkcs7-mime": "smime.p7m",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-signature": "smime.p7s",
    "text/calendar": "invite.ics",
}
"""What programs call such a part where they give it a name at all. Source: RFC 8551 §3.2.1."""

_FORBIDDEN = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Devices, on Windows. Source: learn.microsoft.com, "Naming Files, Paths, and Namespaces", November 2026."""


def safe_file_name(declared: str | None, content_type: str, position: int) -> str:
    """One path component without control, format or forbidden characters, never empty or hidden, at most 200 bytes.

    Args:
        declared: as the message has it; None or nothing usable gives the usual name of such a part, or
            `attachment-<position>` and a fitting extension.
        content_type: lower case.
        position: which attachment of the message it is, from 1.
    """
    name = (declared or "").replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    name = "".join(" " if character.isspace() else character for character in name if _is_shown(character))
    name = " ".join(_FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).split()).strip(". ")
    if not name:
        return _USUAL_NAMES.get(content_type) or f"attachment-{position}{_EXTENSIONS.get(content_type, '.bin')}"
    if _RESERVED.match(name):
        name = f"_{name}"
    return _shortened(name)


def type_by_extension(name: str) -> str | None:
    """The content type of a file that comes without one; None where its name does not tell."""
    _, dot, extension = name.lower().rpartition(".")
    return _TYPES.get(f".{extension}") if dot else None


def _is_shown(character: str) -> bool:
    """Not a control, a direction override (`cv<U+202E>fdp.exe`), a surrogate or another invisible sign."""
    return character in "\t\r\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _shortened(name: str) -> str:
    if len(name.encode()) <= _NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _EXTENSION_LENGTH:
        stem, dot, extension = name, "", ""
    room = _NAME_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + extension
