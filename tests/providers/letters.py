"""Plain letters for the tests of mail providers."""

from datetime import UTC, datetime, timedelta

SOME_DAY = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


def day(number: int) -> datetime:
    """Noon of the `number`-th day after SOME_DAY."""
    return SOME_DAY + timedelta(days=number)


def letter(
    name: str, *, sender: str = "ana@example.org", to: str = "rita@firm.example", body: bytes = b"Hello.\r\n"
) -> bytes:
    head = f"From: Ana <{sender}>\r\nTo: {to}\r\nSubject: {name}\r\nMessage-ID: <{name}@example.org>\r\n"
    return head.encode() + b"References: <root@example.org> <parent@example.org>\r\n\r\n" + body
