"""What is the server asked to find: UID SEARCH for addresses and dates, in commands of bearable length."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from providers.imap.connection import Text

ADDRESSES_PER_SEARCH = 50
MAX_CRITERIA_BYTES = 6_000
"""RFC 7162 §4 asks clients for lines of at most 8192 octets; the rest is for dates and literals' marks."""

_FIELDS = (b"FROM", b"TO", b"CC", b"BCC", b"HEADER Reply-To", b"HEADER Sender")
_FROM_SERVERS: list[list[bytes | Text]] = [
    [b"FROM", Text(b"mailer-daemon")],
    [b"FROM", Text(b"postmaster")],
    [b"HEADER Content-Type", Text(b"multipart/report")],
    [b"HEADER X-MS-Exchange-Message-Is-Ndr", Text(b"")],
]
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def since(oldest: datetime) -> bytes:
    """Messages that can have been received at or after this moment, in whatever time zone the server counts days."""
    day = oldest - timedelta(days=1)
    return f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}".encode()


def address_batches(addresses: Sequence[str]) -> Iterator[list[str]]:
    """The addresses in groups that one command can carry."""
    batch: list[str] = []
    size = 0
    for address in dict.fromkeys(addresses):
        cost = len(_FIELDS) * (len(address.encode("utf-8", "replace")) + 24)
        if batch and (len(batch) == ADDRESSES_PER_SEARCH or size + cost > MAX_CRITERIA_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(address)
        size += cost
    if batch:
        yield batch


def any_of(addresses: Sequence[str]) -> list[bytes | Text]:
    """Messages with one of the addresses in one of the fields, as arguments of SEARCH."""
    keys: list[list[bytes | Text]] = [[field, Text.of(address)] for address in addresses for field in _FIELDS]
    return _either(keys)


def reports_naming(addresses: Sequence[str]) -> list[bytes | Text]:
    """Reports of mail servers with one of the addresses anywhere in them: whom they concern stands in their bodies.

    What tells a server's report comes first, so that few bodies are looked through.
    """
    return [*_either(_FROM_SERVERS), *_either([[b"TEXT", Text.of(address)] for address in addresses])]


def _either(keys: list[list[bytes | Text]]) -> list[bytes | Text]:
    """One OR over all keys, as a balanced tree: some servers bound how deep it may nest."""
    if len(keys) == 1:
        return keys[0]
    middle = len(keys) // 2
    return [b"OR", *_either(keys[:middle]), *_either(keys[middle:])]
