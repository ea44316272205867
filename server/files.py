"""How do attachments and sources reach a browser without ever being run by it?"""

import re
import unicodedata
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from domain.errors import AppError, Retry
from services.deps import Deps
from services.files import FileGone, open_file

UNKNOWN_TYPE = "application/octet-stream"
LONGEST_FILENAME = 150

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_UNQUOTABLE = re.compile(r'[^\x20-\x7e]|["\\%]')
_NEVER_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Whatever the type says, a browser saves it and runs none of it: mail is written by strangers.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}


async def serve_file(deps: Deps, request: Request) -> Response:
    """What the link's token leads to; 404 where it leads nowhere (any more)."""
    try:
        content = await open_file(deps, request.path_params["token"])
        # The first piece, before any header is out: what is missing can still be said.
        first = await anext(content.stream, b"")
    except FileGone as gone:
        return PlainTextResponse(gone.message, status_code=404)
    except AppError as failure:
        return PlainTextResponse(failure.message, status_code=503 if failure.retry is Retry.LATER else 404)
    headers = {**_HEADERS, "Content-Disposition": content_disposition(content.filename)}
    if content.size is not None:
        headers["Content-Length"] = str(content.size)
    return StreamingResponse(
        _continued(first, content.stream), media_type=media_type(content.content_type), headers=headers
    )


def content_disposition(filename: str) -> str:
    """A Content-Disposition that makes a browser save the file under a name that is only a name.

    Source: RFC 6266 §4.3 and its appendix D, RFC 8187 §3.2.1, checked 2026-11-21.
    """
    name = "".join(c for c in filename if unicodedata.category(c) not in _NEVER_IN_NAMES)
    name = name.replace("\\", "/").rpartition("/")[2].strip(". ") or "attachment"
    if len(name) > LONGEST_FILENAME:
        stem, dot, extension = name.rpartition(".")
        ending = f"{dot}{extension}" if stem and len(extension) <= 10 else ""  # noqa: PLR2004 - longer is none
        name = name[: LONGEST_FILENAME - len(ending)] + ending
    plain = _UNQUOTABLE.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def media_type(declared: str) -> str:
    """The declared type where it is one."""
    lowered = declared.strip().lower()
    return lowered if _MEDIA_TYPE.fullmatch(lowered) else UNKNOWN_TYPE


async def _continued(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
