"""What every mail provider must do: inherit `ProviderContract` and give it a mailbox."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

import pytest

from domain.changes import DiscoveredPage, FetchedMessage, FolderCursor, RemoteHeader, RemoteRef
from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import IdleSession, MailProvider, MailSession, Scope
from tests.providers.letters import day, letter


class RemoteMailboxUnderTest(Protocol):
    """A mailbox on a server, seen from the other side. Folder roles: `inbox`, `sent`, `archive`, `drafts`, `junk`."""

    max_message_bytes: int

    def provider(self, *, password: str | None = None) -> MailProvider: ...

    def folder(self, role: str) -> str: ...

    def deliver(self, raw: bytes, role: str = "inbox", received_at: datetime | None = None) -> None: ...

    def move_all(self, source: str, target: str) -> None: ...

    def delete_all(self, role: str) -> None: ...

    def unread_count(self, role: str) -> int: ...

    def drop_connections(self) -> None: ...


class Reader:
    """Keeps cursors as the service does: as JSON, each replaced by the page that moved it."""

    def __init__(self, session: MailSession, cursors: Mapping[str, FolderCursor]) -> None:
        self.session = session
        self.cursors: dict[str, Any] = json.loads(json.dumps(dict(cursors)))

    async def read(self, want: Literal["live", "history"], **limits: Any) -> list[RemoteHeader]:
        headers: list[RemoteHeader] = []
        async for page in self.session.discover(self.cursors, want=want, **limits):
            headers += page.headers
            self.keep(page)
        return headers

    def keep(self, page: DiscoveredPage) -> None:
        self.cursors[page.folder] = json.loads(json.dumps(page.cursor))


def names(headers: list[RemoteHeader]) -> list[str]:
    return [(header.rfc_message_id or "?").partition("@")[0] for header in headers]


async def fetch(session: MailSession, *refs: RemoteRef) -> dict[str, FetchedMessage]:
    return {message.ref.remote_id: message async for message in session.fetch(refs)}


class ProviderContract:
    @pytest.fixture
    def remote(self) -> RemoteMailboxUnderTest:
        raise NotImplementedError

    async def test_a_snapshot_names_the_folders_with_mail_and_no_drafts_or_junk(
        self, remote: RemoteMailboxUnderTest
    ) -> None:
        async with remote.provider().open() as session:
            cursors = (await session.snapshot()).cursors
        assert {remote.folder("inbox"), remote.folder("sent")} <= set(cursors)
        assert not {remote.folder("drafts"), remote.folder("junk")} & set(cursors)

    async def test_history_comes_newest_first_and_each_message_once(self, remote: RemoteMailboxUnderTest) -> None:
        for number in range(5):
            remote.deliver(letter(f"m{number}"), received_at=day(number))
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            first = await reader.read("history")
            second = await reader.read("history")
        assert names(first) == ["m4", "m3", "m2", "m1", "m0"]
        assert second == []

    async def test_a_header_tells_addresses_ids_size_and_time(self, remote: RemoteMailboxUnderTest) -> None:
        raw = letter("whole", to='"Rita, R." <rita@firm.example>, Bo <bo@firm.example>')
        remote.deliver(raw, received_at=day(3))
        async with remote.provider().open() as session:
            [header] = await Reader(session, (await session.snapshot()).cursors).read("history")
        assert set(header.addresses) == {"ana@example.org", "rita@firm.example", "bo@firm.example"}
        assert header.rfc_message_id == "whole@example.org"
        assert header.references == ("root@example.org", "parent@example.org")
        assert header.received_at == day(3)
        assert header.size_bytes == len(raw)
        assert not header.arrived_after_connect

    async def test_what_comes_after_the_snapshot_is_live_oldest_first(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("before"))
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            remote.deliver(letter("first"))
            remote.deliver(letter("second"))
            remote.deliver(letter("mine"), role="sent")
            live = await reader.read("live")
            again = await reader.read("live")
            history = await reader.read("history")
        assert names(live) == ["first", "second", "mine"]
        assert all(header.arrived_after_connect for header in live)
        assert again == []
        assert names(history) == ["before"]

    async def test_a_quiet_mailbox_gives_no_page_for_live(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("before"))
        async with remote.provider().open() as session:
            cursors = (await session.snapshot()).cursors
            pages = [page async for page in session.discover(cursors, want="live")]
        assert pages == []

    async def test_another_session_goes_on_where_the_stored_cursor_stands(self, remote: RemoteMailboxUnderTest) -> None:
        for number in range(1201):
            remote.deliver(letter(f"m{number}"), received_at=day(0))
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            found: list[RemoteHeader] = []
            async for page in session.discover(reader.cursors, want="history"):
                found += page.headers
                reader.keep(page)
                assert page.remaining == 1201 - len(found)
                break
        assert 0 < len(found) < 1201
        async with remote.provider().open() as session:
            found += await Reader(session, reader.cursors).read("history")
        assert sorted(names(found)) == sorted(f"m{number}" for number in range(1201))

    async def test_history_outside_the_scope_is_left_for_a_wider_one(self, remote: RemoteMailboxUnderTest) -> None:
        for number in range(6):
            remote.deliver(letter(f"m{number}"), received_at=day(number))
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            near = await reader.read("history", scope=Scope(oldest=day(3)))
            again = await reader.read("history", scope=Scope(oldest=day(3)))
            wider = await reader.read("history", scope=Scope(oldest=None))
        assert names(near) == ["m5", "m4", "m3"]
        assert again == []
        assert names(wider) == ["m2", "m1", "m0"]

    async def test_a_moved_message_arrives_with_its_own_date(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("old"), received_at=day(0))
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            remote.move_all("inbox", "archive")
            [moved] = await reader.read("live")
        assert (moved.arrived_after_connect, moved.received_at) == (True, day(0))

    async def test_only_hinted_folders_are_looked_at(self, remote: RemoteMailboxUnderTest) -> None:
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            remote.deliver(letter("incoming"))
            remote.deliver(letter("mine"), role="sent")
            hinted = await reader.read("live", folders=[remote.folder("sent")])
            rest = await reader.read("live")
        assert (names(hinted), names(rest)) == (["mine"], ["incoming"])

    async def test_fetch_gives_every_byte(self, remote: RemoteMailboxUnderTest) -> None:
        letters = [letter(f"m{n}", body=bytes([97 + n]) * 76 * n + b"\r\n\xff\xfe {3}\r\n) *\r\n") for n in range(20)]
        letters.append(letter("large", body=b"0123456789abcde\r\n" * 200_000))
        for raw in letters:
            remote.deliver(raw)
        async with remote.provider().open() as session:
            headers = await Reader(session, (await session.snapshot()).cursors).read("history")
            refs = [RemoteRef(remote.folder("inbox"), header.remote_id, header.size_bytes) for header in headers]
            fetched = await fetch(session, *refs)
        assert [fetched[ref.remote_id].raw for ref in reversed(refs)] == letters

    async def test_a_message_that_is_gone_is_told_and_the_others_come(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("gone"))
        remote.deliver(letter("stays"), role="sent")
        async with remote.provider().open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            refs = []
            async for page in session.discover(reader.cursors, want="history"):
                refs += [RemoteRef(page.folder, header.remote_id, header.size_bytes) for header in page.headers]
        remote.delete_all("inbox")
        async with remote.provider().open() as session:
            fetched = [message async for message in session.fetch(refs)]
        outcome = {message.ref.folder: message.raw for message in fetched}
        assert outcome == {remote.folder("inbox"): None, remote.folder("sent"): letter("stays")}

    async def test_a_message_above_the_limit_is_named_too_large(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("huge", body=b"x" * 76 + b"\r\n" * remote.max_message_bytes))
        async with remote.provider().open() as session:
            [header] = await Reader(session, (await session.snapshot()).cursors).read("history")
            honest = RemoteRef(remote.folder("inbox"), header.remote_id, header.size_bytes)
            understated = RemoteRef(remote.folder("inbox"), header.remote_id, 100)
            for ref in (honest, understated):
                [message] = [each async for each in session.fetch([ref])]
                assert (message.raw, message.too_large) == (None, True)

    async def test_search_finds_addresses_in_any_field_within_the_scope(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("old", sender="eve@example.net"), received_at=day(0))
        remote.deliver(letter("from", sender="eve@example.net"), received_at=day(5))
        remote.deliver(letter("to", to="eve@example.net"), role="sent", received_at=day(6))
        remote.deliver(letter("other"), received_at=day(7))
        many = [f"nobody{number}@example.net" for number in range(120)]
        async with remote.provider().open() as session:
            found = [
                header
                async for page in session.search([*many, "eve@example.net"], Scope(oldest=day(1)))
                for header in page.headers
            ]
        assert sorted(names(found)) == ["from", "to"]

    async def test_search_finds_reports_of_what_did_not_reach_an_address(self, remote: RemoteMailboxUnderTest) -> None:
        lost = b"Your message to <eve@example.net> could not be delivered."
        remote.deliver(letter("lost", sender="MAILER-DAEMON@example.net", body=lost), received_at=day(5))
        remote.deliver(letter("elsewhere", sender="MAILER-DAEMON@example.net"), received_at=day(5))
        remote.deliver(letter("gossip", body=b"I saw eve@example.net"), received_at=day(5))
        async with remote.provider().open() as session:
            found = [
                header
                async for page in session.search(["eve@example.net"], Scope(oldest=day(1)))
                for header in page.headers
            ]
        assert names(found) == ["lost"]
        assert found[0].may_be_report

    async def test_the_date_of_the_latest_is_told_over_all_folders(self, remote: RemoteMailboxUnderTest) -> None:
        for number in range(4):
            remote.deliver(letter(f"m{number}"), role=("inbox", "sent")[number % 2], received_at=day(number))
        async with remote.provider().open() as session:
            dates = [await session.date_of_latest(count) for count in (1, 3, 4, 5)]
        assert dates == [day(3), day(1), day(0), None]

    async def test_reading_leaves_everything_unread(self, remote: RemoteMailboxUnderTest) -> None:
        remote.deliver(letter("unread"))
        remote.deliver(letter("unread, large", body=b"x" * 3_000_000))
        async with remote.provider().open() as session:
            headers = await Reader(session, (await session.snapshot()).cursors).read("history")
            await fetch(
                session, *(RemoteRef(remote.folder("inbox"), each.remote_id, each.size_bytes) for each in headers)
            )
        assert remote.unread_count("inbox") == 2

    async def test_news_are_told_by_a_session_that_can_idle(self, remote: RemoteMailboxUnderTest) -> None:
        async with remote.provider().open() as session:
            if not isinstance(session, IdleSession):
                pytest.skip("this provider has no IDLE")
            news = session.wait_for_news(remote.folder("inbox"))
            await anext(news)
            remote.deliver(letter("news"))
            await anext(news)
            await news.aclose()  # type: ignore[attr-defined] # an async generator

    async def test_a_lost_connection_is_told_at_once_and_passes_by_itself(self, remote: RemoteMailboxUnderTest) -> None:
        async with remote.provider().open() as session:
            cursors = (await session.snapshot()).cursors
            remote.drop_connections()
            with pytest.raises(ProviderError) as caught:
                while True:  # the server may take a moment to let go
                    async for _ in session.discover(cursors, want="live"):
                        pass
        assert caught.value.retry is Retry.LATER

    async def test_a_refused_login_asks_for_reauthorisation(self, remote: RemoteMailboxUnderTest) -> None:
        with pytest.raises(ProviderError) as caught:
            async with remote.provider(password="wrong").open():
                pass
        assert caught.value.code is ErrorCode.AUTHENTICATION_FAILED
        assert caught.value.retry is Retry.AFTER_REAUTHORISATION
