"""IMAP against a real Dovecot: the provider contract, and what only IMAP has."""

import asyncio
import imaplib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pytest

from demo.dovecot import MailboxLayout
from demo.mailserver import Delivery, MailSandbox
from domain.changes import RemoteRef
from domain.errors import ErrorCode, FolderRefused, ProviderError
from providers.base import MailProvider, ServerLogin, TransportSecurity
from providers.network import NetworkGuard
from providers.registry import imap_provider
from tests.providers.conftest import PASSWORD
from tests.providers.contract import ProviderContract, Reader, names
from tests.providers.letters import day, letter

LOOPBACK = NetworkGuard.allowing(["127.0.0.0/8"])
_serial = itertools.count()
_FOLDERS = {"inbox": "INBOX", "sent": "Sent", "archive": "Archive", "drafts": "Drafts", "junk": "Junk"}


class DovecotMailbox:
    max_message_bytes = 8 * 2**20

    def __init__(self, sandbox: MailSandbox) -> None:
        self.sandbox = sandbox
        self.address = f"rita{next(_serial)}@firm.example"

    def provider(
        self, *, password: str | None = None, security: TransportSecurity = TransportSecurity.TLS
    ) -> MailProvider:
        port = self.sandbox.imaps_port if security is TransportSecurity.TLS else self.sandbox.imap_port
        login = ServerLogin("127.0.0.1", port, security, self.address, password or PASSWORD)
        return imap_provider(login, LOOPBACK, tls=self.sandbox.client_tls(), max_message_bytes=self.max_message_bytes)

    def folder(self, role: str) -> str:
        return _FOLDERS[role]

    def deliver(self, raw: bytes, role: str = "inbox", received_at: datetime | None = None) -> None:
        self.sandbox.deliver(self.address, raw, _FOLDERS[role], received_at)

    def move_all(self, source: str, target: str) -> None:
        self.sandbox.move(self.address, _FOLDERS[source], _FOLDERS[target], "1:*")

    def delete_all(self, role: str) -> None:
        self.sandbox.expunge(self.address, _FOLDERS[role], "1:*")

    def unread_count(self, role: str) -> int:
        with self.plain_client() as client:
            client.select(_FOLDERS[role], readonly=True)
            return len(client.search(None, "UNSEEN")[1][0].split())

    def drop_connections(self) -> None:
        self.sandbox.drop_connections(self.address)

    @contextmanager
    def plain_client(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.sandbox.imap_port) as client:
            client.authenticate("PLAIN", lambda _: f"\0{self.address}\0{PASSWORD}".encode())
            yield client


class TestContract(ProviderContract):
    @pytest.fixture
    def remote(self, sandbox: MailSandbox) -> DovecotMailbox:
        return DovecotMailbox(sandbox)


@pytest.fixture
def remote(sandbox: MailSandbox) -> DovecotMailbox:
    return DovecotMailbox(sandbox)


@pytest.mark.parametrize("security", list(TransportSecurity))
async def test_every_kind_of_connection_logs_in_with_an_odd_password(
    remote: DovecotMailbox, security: TransportSecurity
) -> None:
    async with remote.provider(security=security).open() as session:
        assert "INBOX" in (await session.snapshot()).cursors


@pytest.mark.parametrize(
    "name", ["简历 & 求职", "Ünter/Ördner", 'With "quotes" \\ and spaces', "🙂🎉", "&", "a* b", "Входящие"]
)
async def test_folder_names_of_any_script_are_read_and_named_as_people_write_them(
    remote: DovecotMailbox, name: str
) -> None:
    remote.sandbox.deliver(remote.address, letter("within"), name)
    async with remote.provider().open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        [header] = await reader.read("history")
        [message] = [each async for each in session.fetch([RemoteRef(name, header.remote_id, header.size_bytes)])]
    assert name in reader.cursors
    assert message.raw == letter("within")


async def test_a_folder_made_after_connecting_is_all_news(remote: DovecotMailbox) -> None:
    async with remote.provider().open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        remote.sandbox.deliver(remote.address, letter("within"), "New one")
        [header] = await reader.read("live")
    assert header.arrived_after_connect


async def test_a_new_uidvalidity_starts_the_folder_anew(remote: DovecotMailbox) -> None:
    remote.deliver(letter("m0"))
    remote.deliver(letter("m1"))
    async with remote.provider().open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        [_, header] = await reader.read("history")
    remote.sandbox.change_uidvalidity(remote.address, "INBOX", 4_000_000_000)
    async with remote.provider().open() as session:
        reader.session = session
        stale = [each async for each in session.fetch([RemoteRef("INBOX", header.remote_id, header.size_bytes)])]
        history = await reader.read("history")
        live = await reader.read("live")
    assert stale[0].raw is None
    assert (history, names(live)) == ([], ["m0", "m1"])
    assert reader.cursors["INBOX"]["baseline"] == 1
    assert {each.remote_id for each in live} == {"4000000000:1", "4000000000:2"}


async def test_gaps_between_uids_fold_into_one_range(remote: DovecotMailbox) -> None:
    remote.sandbox.deliver_many(remote.address, (Delivery(letter(f"m{number}")) for number in range(40)))
    async with remote.provider().open() as session:
        await session.snapshot()
    remote.sandbox.expunge(remote.address, "INBOX", "1:5,8,11:20,40")
    async with remote.provider().open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        assert len(await reader.read("history")) == 23
    assert reader.cursors["INBOX"]["seen"] == "1:40"


async def test_history_and_live_may_take_turns_on_one_session(remote: DovecotMailbox) -> None:
    remote.sandbox.deliver_many(remote.address, (Delivery(letter(f"m{number}")) for number in range(1100)))
    found = []
    async with remote.provider().open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        async for page in session.discover(reader.cursors, want="history"):
            found += page.headers
            remote.deliver(letter("news"), role="sent")
            assert names(await reader.read("live")) == ["news"]
    assert len(found) == 1100


async def test_a_pass_that_a_folder_was_kept_from_says_so_though_others_have_opened_it_since(
    remote: DovecotMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.imap.session.HEADERS_PER_PAGE", 1)
    for folder in ("Archive", "Archive", "Archive", "Zoo"):
        remote.sandbox.deliver(remote.address, letter("old"), folder)
    seen = []
    async with remote.provider().open() as session:
        cursors = (await session.snapshot()).cursors
        with pytest.raises(FolderRefused), ExitStack() as broken:
            async for page in session.discover(cursors, want="history"):
                seen.append(page.folder)
                if len(seen) == 1:
                    ref = RemoteRef("Archive", page.headers[0].remote_id, 10)
                    await session.date_of_latest(1)  # goes over all folders, so that Archive is not the open one
                    broken.enter_context(remote.sandbox.broken_folder(remote.address, "Archive"))
                elif page.folder == "Zoo":
                    broken.close()
                    assert [message.raw is not None async for message in session.fetch([ref])] == [True]
    assert seen == ["Archive", "Archive", "Zoo"]  # the second was on its way already


async def test_a_mailbox_without_sent_and_without_mail_is_read_all_the_same() -> None:
    with MailSandbox([("rita@firm.example", "x")], layout=MailboxLayout({})) as bare:
        login = ServerLogin("127.0.0.1", bare.imap_port, TransportSecurity.STARTTLS, "rita@firm.example", "x")
        async with imap_provider(login, LOOPBACK, tls=bare.client_tls()).open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            assert list(reader.cursors) == ["INBOX"]
            assert await reader.read("history") == []
            assert await session.date_of_latest(1) is None


async def test_folders_under_a_prefix_are_told_apart_by_special_use_not_by_name() -> None:
    layout = MailboxLayout(
        {"Entwürfe": r"\Drafts", "Drafts": None, "Gesendet": r"\Sent"}, prefix="INBOX.", separator="."
    )
    with MailSandbox([("rita@firm.example", "x")], layout=layout) as prefixed:
        login = ServerLogin("127.0.0.1", prefixed.imaps_port, TransportSecurity.TLS, "rita@firm.example", "x")
        async with imap_provider(login, LOOPBACK, tls=prefixed.client_tls()).open() as session:
            assert list((await session.snapshot()).cursors) == ["INBOX", "INBOX.Gesendet", "INBOX.Drafts"]


async def test_where_there_is_all_mail_it_is_read_alone_and_nothing_twice() -> None:
    layout = MailboxLayout({"Sent": r"\Sent", "Archive": r"\Archive"}, all_mail=True)
    with MailSandbox([("rita@firm.example", "x")], layout=layout) as server:
        for number, folder in enumerate(("INBOX", "Sent", "Archive")):
            server.deliver("rita@firm.example", letter(f"m{number}"), folder, day(number))
        login = ServerLogin("127.0.0.1", server.imaps_port, TransportSecurity.TLS, "rita@firm.example", "x")
        async with imap_provider(login, LOOPBACK, tls=server.client_tls()).open() as session:
            reader = Reader(session, (await session.snapshot()).cursors)
            assert list(reader.cursors) == ["virtual/All"]
            assert sorted(names(await reader.read("history"))) == ["m0", "m1", "m2"]
            server.deliver("rita@firm.example", letter("news"))
            assert names(await reader.read("live", folders=["INBOX"])) == ["news"]
            news = session.wait_for_news("INBOX")  # type: ignore[attr-defined] # Dovecot offers IDLE
            await anext(news)
            server.deliver("rita@firm.example", letter("more news"))
            await anext(news)


async def test_a_message_of_100_megabytes_is_reported_and_its_neighbours_come(remote: DovecotMailbox) -> None:
    remote.deliver(letter("before"))
    remote.deliver(letter("huge", body=(b"x" * 998 + b"\r\n") * 100_000))
    remote.deliver(letter("after"))
    async with remote.provider().open() as session:
        headers = await Reader(session, (await session.snapshot()).cursors).read("history")
        refs = [RemoteRef("INBOX", each.remote_id, each.size_bytes) for each in headers]
        fetched = [(message.too_large, message.raw is None) async for message in session.fetch(refs)]
    assert sorted(fetched) == [(False, False), (False, False), (True, True)]


async def test_a_restart_ends_the_wait_for_news_and_a_new_session_finds_what_came(sandbox: MailSandbox) -> None:
    with MailSandbox([("rita@firm.example", "x")]) as server:
        login = ServerLogin("127.0.0.1", server.imaps_port, TransportSecurity.TLS, "rita@firm.example", "x")
        provider = imap_provider(login, LOOPBACK, tls=server.client_tls())
        async with provider.open() as session:
            cursors = (await session.snapshot()).cursors
            news = session.wait_for_news("INBOX")  # type: ignore[attr-defined] # Dovecot offers IDLE
            await anext(news)
            server.restart()
            with pytest.raises(ProviderError):
                await anext(news)
        server.deliver("rita@firm.example", letter("meanwhile"))
        async with provider.open() as session:
            assert names(await Reader(session, cursors).read("live")) == ["meanwhile"]


async def test_cancelling_in_the_middle_of_a_fetch_leaves_nothing_behind(remote: DovecotMailbox) -> None:
    remote.sandbox.deliver_many(remote.address, (Delivery(letter(f"m{n}", body=b"x" * 50_000)) for n in range(200)))
    started = asyncio.Event()

    async def read() -> None:
        async with remote.provider().open() as session:
            headers = await Reader(session, (await session.snapshot()).cursors).read("history")
            async for _ in session.fetch([RemoteRef("INBOX", each.remote_id, each.size_bytes) for each in headers]):
                started.set()
                await asyncio.sleep(0)

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_for_news_in_a_folder_that_is_not_there_fails_typed(remote: DovecotMailbox) -> None:
    async with remote.provider().open() as session:
        with pytest.raises(ProviderError) as caught:
            await anext(session.wait_for_news("Nowhere"))  # type: ignore[attr-defined] # Dovecot offers IDLE
    assert caught.value.code is ErrorCode.CONNECTION_REFUSED
