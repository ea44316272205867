"""IMAP against servers that are broken, slow or malicious: a typed error and a closed connection, never a hang."""

import asyncio
import ssl
from collections.abc import Mapping

import pytest
import trustme

from domain.changes import FetchedMessage, RemoteHeader, RemoteRef
from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import IdleSession, MailSession, Scope
from providers.imap.connection import Deadlines
from tests.providers.contract import Reader
from tests.providers.scripted import Answer, Peer, Script, imap, provider_at, serving

HEADER = b"From: ana@example.org\r\nMessage-ID: <m@example.org>\r\n\r\n"
AN_ITEM = b'* %d FETCH (UID %d INTERNALDATE "01-Mar-2024 12:00:00 +0000" RFC822.SIZE 100 BODY[HEADER.FIELDS (FROM)] {%d}\r\n%s)\r\n'


def items(*uids: int) -> bytes:
    return b"".join(AN_ITEM % (uid, uid, len(HEADER), HEADER) for uid in uids)


async def read_history(session: MailSession) -> list[RemoteHeader]:
    return await Reader(session, (await session.snapshot()).cursors).read("history")


async def failure_of(script: Script) -> ProviderError:
    """What reading the history of such a server comes to."""
    async with serving(script) as port:
        with pytest.raises(ProviderError) as caught:
            async with provider_at(port).open() as session:
                await read_history(session)
    return caught.value


def on_fetch(answer: Answer) -> Mapping[bytes, Answer]:
    return {b"UID FETCH": answer}


# --- Broken off ---


async def test_hanging_up_in_the_middle_of_a_literal_fails_the_command() -> None:
    async def hang_up(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(items(3)[:-30])
        raise ConnectionError

    error = await failure_of(imap(on_fetch(hang_up)))
    assert (error.code, error.retry) == (ErrorCode.CONNECTION_REFUSED, Retry.LATER)


async def test_a_server_that_stalls_is_given_up() -> None:
    async def stall(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(items(3)[:-30])
        await peer.stall()

    error = await failure_of(imap(on_fetch(stall)))
    assert (error.code, error.retry) == (ErrorCode.TIMED_OUT, Retry.LATER)


async def test_a_server_that_trickles_does_not_prolong_its_deadline() -> None:
    async def trickle(peer: Peer, tag: bytes, rest: bytes) -> None:
        while True:
            await peer.send(b"* 1 EXISTS\r\n")
            await asyncio.sleep(0.01)

    error = await failure_of(imap(on_fetch(trickle)))
    assert error.code is ErrorCode.TIMED_OUT


async def test_bye_in_the_middle_ends_the_command_at_once() -> None:
    async def bye(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(b"* BYE shutting down\r\n")
        await peer.stall()

    error = await failure_of(imap(on_fetch(bye)))
    assert error.code is ErrorCode.CONNECTION_REFUSED


async def test_a_connection_that_failed_is_not_used_again() -> None:
    commands: list[bytes] = []

    async def hang_up(peer: Peer, tag: bytes, rest: bytes) -> None:
        commands.append(rest)
        raise ConnectionError

    async with serving(imap(on_fetch(hang_up))) as port, provider_at(port).open() as session:
        for _ in range(2):
            with pytest.raises(ProviderError):
                await read_history(session)
    assert len(commands) == 1


# --- Too much ---


async def test_a_literal_of_four_terabytes_is_refused() -> None:
    error = await failure_of(
        imap(on_fetch(b"* 3 FETCH (UID 3 BODY[HEADER.FIELDS (FROM)] {4398046511104}\r\n" + b"x" * 9999))
    )
    assert error.code is ErrorCode.NOT_A_MAIL_SERVER


async def test_a_line_without_end_is_refused() -> None:
    async def flood(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(b"* ")
        while True:
            await peer.send(b"x" * 2**20)

    async with serving(imap(on_fetch(flood))) as port:
        with pytest.raises(ProviderError) as caught:
            async with provider_at(port, deadlines=Deadlines()).open() as session:
                await read_history(session)
    assert caught.value.code is ErrorCode.NOT_A_MAIL_SERVER


async def test_parentheses_nested_without_end_are_refused() -> None:
    error = await failure_of(imap(on_fetch(b"* 3 FETCH (UID 3 FLAGS " + b"(" * 100_000 + b"\r\n")))
    assert error.code is ErrorCode.NOT_A_MAIL_SERVER


async def test_five_thousand_lines_in_one_piece_are_read() -> None:
    answer = items(*range(1, 5001)) + b"%(tag)s OK\r\n"
    found = b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, 501)) + b"\r\n%(tag)s OK\r\n"
    script = imap({b"UID FETCH": answer, b"UID SEARCH": found})
    async with serving(script) as port, provider_at(port, deadlines=Deadlines()).open() as session:
        cursors = (await session.snapshot()).cursors
        wide = {"INBOX": {**cursors["INBOX"], "baseline": 501}}
        pages = [page async for page in session.discover(wide, want="history")]
    assert len(pages[0].headers) == 5000


async def test_of_an_immense_header_the_beginning_is_read_and_the_next_message_too() -> None:
    immense = HEADER + b"To: " + b"x@example.net,\r\n " * 40_000
    answer = AN_ITEM % (1, 1, len(immense), immense) + items(2, 3) + b"%(tag)s OK\r\n"
    async with serving(imap(on_fetch(answer))) as port, provider_at(port, deadlines=Deadlines()).open() as session:
        headers = await read_history(session)
    assert [header.addresses[0] for header in headers] == ["ana@example.org"] * 3


# --- Garbage ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe\r\n",
        b"nonsense\r\n",
        b"A999 OK not yours\r\n",
        b'* 3 FETCH (UID 3 BODY[] "open\r\n%(tag)s OK\r\n',
        b"* 3 FETCH (UID 3))\r\n%(tag)s OK\r\n",
        b"* 3 FETCH (UID x RFC822.SIZE y BODY[] NIL)\r\n%(tag)s OK\r\n",
        b"* 3 FETCH (UID " + b"9" * 6000 + b" BODY[] NIL)\r\n%(tag)s OK\r\n",
    ],
)
async def test_garbage_is_no_answer(garbage: bytes) -> None:
    error = await failure_of(imap(on_fetch(garbage)))
    assert error.code in {ErrorCode.NOT_A_MAIL_SERVER, ErrorCode.TIMED_OUT}


async def test_items_in_any_order_with_odd_dates_and_quoted_bodies_are_read() -> None:
    answer = (
        b'* 1 FETCH (BODY[HEADER.FIELDS ("FROM" "TO")] "From: ana@example.org" RFC822.SIZE 9 UID 1 INTERNALDATE "?")\r\n'
        b"* 2 FETCH (FLAGS (\\Seen $odd) UID 2 BODY[HEADER.FIELDS (FROM)] NIL)\r\n"
        b'* 3 FETCH (UID 3 INTERNALDATE " 1-Mar-2024 13:00:00 +0100" BODY[HEADER.FIELDS (FROM)] {0}\r\n)\r\n'
        b"%(tag)s OK\r\n"
    )
    async with serving(imap(on_fetch(answer))) as port, provider_at(port).open() as session:
        third, second, first = await read_history(session)
    assert (first.addresses, first.received_at.year) == (("ana@example.org",), 1970)
    assert (second.addresses, third.received_at.isoformat()) == ((), "2024-03-01T12:00:00+00:00")


async def test_what_was_not_asked_for_is_ignored() -> None:
    noise = b"* OK [ALERT] Mind {5}\r\n* 9 EXPUNGE\r\n* FLAGS (\\Seen)\r\n* 1 FETCH (FLAGS (UID 5))\r\n* XWHATEVER {3}\r\nabc\r\n"
    script = imap(on_fetch(noise + items(1, 2, 3) + noise + b"%(tag)s OK\r\n"))
    async with serving(script) as port, provider_at(port).open() as session:
        assert len(await read_history(session)) == 3


async def test_uids_beyond_what_was_asked_for_are_not_believed() -> None:
    answers = {b"UID SEARCH": b"* SEARCH 2 3 4 5 77\r\n%(tag)s OK\r\n", b"UID FETCH": items(2, 3) + b"%(tag)s OK\r\n"}
    async with serving(imap(answers)) as port, provider_at(port).open() as session:
        reader = Reader(session, (await session.snapshot()).cursors)
        assert len(await reader.read("history")) == 2
    assert reader.cursors["INBOX"]["seen"] == "1:3"


# --- Greetings ---


async def test_a_greeting_of_bye_is_a_refusal_that_passes() -> None:
    error = await failure_of(imap(greeting=b"* BYE not today\r\n"))
    assert (error.code, error.retry) == (ErrorCode.CONNECTION_REFUSED, Retry.LATER)


async def test_a_greeting_of_too_many_connections_is_throttling() -> None:
    error = await failure_of(imap(greeting=b"* BYE [ALERT] Too many simultaneous connections\r\n"))
    assert (error.code, error.retry) == (ErrorCode.THROTTLED, Retry.LATER)


async def test_a_server_that_claims_we_are_logged_in_is_not_believed() -> None:
    error = await failure_of(imap(greeting=b"* PREAUTH welcome\r\n"))
    assert error.code is ErrorCode.NOT_A_MAIL_SERVER


async def test_plain_text_slipped_in_before_tls_is_refused() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def inject(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(tag + b" OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
        await peer.start_tls(context)

    async with serving(imap({b"STARTTLS": inject})) as port:
        with pytest.raises(ProviderError) as caught:
            async with provider_at(port, tls=trusting).open():
                pass
    assert caught.value.code is ErrorCode.TLS_FAILED


async def test_a_server_that_refuses_starttls_gets_no_password() -> None:
    heard: list[bytes] = []

    async def listen(peer: Peer, tag: bytes, rest: bytes) -> None:
        heard.append(rest)
        await peer.send(tag + b" OK\r\n")

    async with serving(imap({b"AUTHENTICATE": listen, b"LOGIN": listen})) as port:
        with pytest.raises(ProviderError) as caught:
            async with provider_at(port, tls=ssl.create_default_context()).open():
                pass
    assert (caught.value.code, heard) == (ErrorCode.TLS_FAILED, [])


# --- Servers that are other than they say ---


async def test_capabilities_that_are_not_there_are_done_without() -> None:
    lies = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE IDLE\r\n%(tag)s OK\r\n"

    async def plain_list_only(peer: Peer, tag: bytes, rest: bytes) -> None:
        known = b"RETURN" not in rest
        await peer.send((b'* LIST () "/" INBOX\r\n' + tag + b" OK\r\n") if known else tag + b" BAD what\r\n")

    answers: dict[bytes, Answer] = {
        b"CAPABILITY": lies,
        b"LIST": plain_list_only,
        b"AUTHENTICATE": b"%(tag)s BAD no such thing\r\n",
        b"UID FETCH": items(1, 2, 3) + b"%(tag)s OK\r\n",
    }
    async with serving(imap(answers)) as port, provider_at(port).open() as session:
        assert len(await read_history(session)) == 3
        assert isinstance(session, IdleSession)
        with pytest.raises(ProviderError) as caught:
            await anext(session.wait_for_news("INBOX"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_PROTOCOL


async def test_without_idle_the_session_does_not_claim_it() -> None:
    async with serving(imap()) as port, provider_at(port).open() as session:
        assert not isinstance(session, IdleSession)


async def test_without_sasl_the_login_goes_as_literals_where_it_must() -> None:
    heard: list[bytes] = []

    async def login(peer: Peer, tag: bytes, rest: bytes) -> None:
        heard.append(rest)
        await peer.send(b"+ go on\r\n")
        heard.append(await peer.exactly(7))
        await peer.line()
        await peer.send(tag + b" OK\r\n")

    answers: dict[bytes, Answer] = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%(tag)s OK\r\n", b"LOGIN": login}
    async with serving(imap(answers)) as port, provider_at(port, password="sécrë").open():
        pass
    assert heard == [b'LOGIN "rita@firm.example" {7}', "sécrë".encode()]


async def names_of_folders(listing: bytes) -> list[str]:
    answers: dict[bytes, Answer] = {b"LIST": listing + b"%(tag)s OK\r\n", b"STATUS": b"%(tag)s NO\r\n"}
    async with serving(imap(answers)) as port, provider_at(port).open() as session:
        return list((await session.snapshot()).cursors)


async def test_special_use_in_any_case_of_letters_counts() -> None:
    listing = (
        b'* LIST (\\JUNK) "/" Ham\r\n* LIST (\\trash) "/" Old\r\n* LIST (\\dRaFtS) "/" New\r\n* LIST () "/" Spam\r\n'
    )
    assert await names_of_folders(listing) == ["Spam"]


async def test_without_special_use_folders_are_known_by_name_in_several_languages() -> None:
    listing = (
        b'* LIST () "." INBOX\r\n* LIST () "." INBOX.Papierkorb\r\n* LIST () "." INBOX.Brouillons\r\n'
        b'* LIST () "." INBOX.&V4NXPnux-\r\n* LIST () "." INBOX.Kunden\r\n* LIST () "." INBOX.Papierkorb.2023\r\n'
    )
    assert await names_of_folders(listing) == ["INBOX", "INBOX.Kunden"]


async def test_folders_of_other_people_are_not_read() -> None:
    answers: dict[bytes, Answer] = {
        b"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR NAMESPACE\r\n%(tag)s OK\r\n",
        b"NAMESPACE": b'* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Public/" "/"))\r\n%(tag)s OK\r\n',
        b"LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" "Other Users/bob"\r\n* LIST () "/" Public/all\r\n%(tag)s OK\r\n',
    }
    async with serving(imap(answers)) as port, provider_at(port).open() as session:
        assert list((await session.snapshot()).cursors) == ["INBOX"]


async def test_names_in_literals_and_raw_utf8_are_understood() -> None:
    listing = b'* LIST () "/" {5}\r\na"b\\c\r\n* LIST (\\Noselect) NIL Top\r\n* LIST () NIL "\xd0\x9f\xd0\xbe"\r\n'
    assert await names_of_folders(listing) == ['a"b\\c', "По"]


# --- Bodies ---


async def fetched_from(answer: Answer, *, size_bytes: int = 100) -> FetchedMessage:
    async with serving(imap(on_fetch(answer))) as port, provider_at(port, deadlines=Deadlines()).open() as session:
        ref = RemoteRef("INBOX", "7:3", size_bytes)
        [message] = [each async for each in session.fetch([ref])]
    return message


async def test_a_message_far_larger_than_its_size_comes_in_slices() -> None:
    body = bytes(range(256)) * 10_000

    async def slices(peer: Peer, tag: bytes, rest: bytes) -> None:
        if b"<" not in rest:
            await peer.send(b"* 3 FETCH (UID 3 BODY[] {%d}\r\n%s)\r\n%s OK\r\n" % (len(body), body, tag))
            return
        offset, _, count = rest.partition(b"<")[2].partition(b">")[0].partition(b".")
        part = body[int(offset) : int(offset) + int(count)]
        await peer.send(b"* 3 FETCH (UID 3 BODY[]<%s> {%d}\r\n%s)\r\n%s OK\r\n" % (offset, len(part), part, tag))

    assert (await fetched_from(slices)).raw == body
    assert (await fetched_from(slices, size_bytes=5_000_000)).raw == body


async def test_a_message_the_server_will_not_hand_out_is_told_apart_from_one_that_is_gone() -> None:
    withheld = await fetched_from(b"%(tag)s NO [SERVERBUG] cannot\r\n")
    gone = await fetched_from(b"%(tag)s OK\r\n")
    assert (withheld.raw, withheld.refused, gone.raw, gone.refused) == (None, True, None, False)


async def test_a_slice_that_is_no_slice_is_not_taken_for_one() -> None:
    body = b"x" * 3_000_000
    with pytest.raises(ProviderError):
        await fetched_from(
            b"* 3 FETCH (UID 3 BODY[] {%d}\r\n%s)\r\n%%(tag)s OK\r\n" % (len(body), body), size_bytes=3_000_000
        )


# --- IDLE ---

IDLING = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR IDLE\r\n%(tag)s OK\r\n"}


@pytest.mark.parametrize("end", [b"", b"* BYE idle for too long\r\n"])
async def test_waiting_for_news_ends_when_the_server_leaves(end: bytes) -> None:
    async def idle(peer: Peer, tag: bytes, rest: bytes) -> None:
        await peer.send(b"+ idling\r\n* 4 EXISTS\r\n* 1 RECENT\r\n")
        await peer.send(end)
        raise ConnectionError

    async with serving(imap({**IDLING, b"IDLE": idle})) as port, provider_at(port).open() as session:
        assert isinstance(session, IdleSession)
        with pytest.raises(ProviderError) as caught:
            async for _ in session.wait_for_news("INBOX"):
                pass
    assert caught.value.retry is Retry.LATER


async def test_search_in_a_server_without_utf8_is_a_typed_refusal() -> None:
    answers: dict[bytes, Answer] = {b"UID SEARCH": b"%(tag)s NO [BADCHARSET (US-ASCII)] no\r\n"}
    async with serving(imap(answers)) as port, provider_at(port).open() as session:
        with pytest.raises(ProviderError) as caught:
            [page async for page in session.search(["ana@example.org"], Scope(None))]
    assert caught.value.retry is Retry.LATER
