"""Are the demonstration's letters believable, correct mail, and the same for the same seed?"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

import pytest

from demo.letter_forms import Correspondent
from demo.letters import CANDIDATES, RECRUITERS, Letter, new_letter, write_mailboxes

UNTIL = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
COUNT = 900

Mailboxes = Mapping[str, Sequence[Letter]]


@pytest.fixture(scope="module")
def mailboxes() -> Mailboxes:
    return write_mailboxes(7, RECRUITERS, CANDIDATES, COUNT, UNTIL)


@pytest.fixture(scope="module")
def letters(mailboxes: Mailboxes) -> Sequence[Letter]:
    return [letter for box in mailboxes.values() for letter in box]


def text_of(message: Message) -> str:
    part = next(part for part in message.walk() if part.get_content_type() == "text/plain")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode(part.get_content_charset("ascii"))


def types_of(letter: Letter) -> set[str]:
    return {part.get_content_type() for part in message_from_bytes(letter.raw).walk()}


def test_the_same_seed_and_date_give_the_same_bytes_and_another_seed_gives_others(mailboxes: Mailboxes) -> None:
    assert write_mailboxes(7, RECRUITERS, CANDIDATES, COUNT, UNTIL) == mailboxes
    assert write_mailboxes(8, RECRUITERS, CANDIDATES, COUNT, UNTIL) != mailboxes


def test_each_mailbox_has_its_letters_in_order_of_arrival_and_none_from_the_future(mailboxes: Mailboxes) -> None:
    assert set(mailboxes) == {recruiter.address for recruiter in RECRUITERS}
    for box in mailboxes.values():
        assert len(box) == COUNT
        times = [letter.received_at for letter in box]
        assert times == sorted(times)
        assert times[-1] <= UNTIL


def test_between_ten_and_fifteen_per_cent_are_with_candidates_and_every_candidate_writes(mailboxes: Mailboxes) -> None:
    for box in mailboxes.values():
        assert 0.10 <= sum(bool(letter.concerns) for letter in box) / COUNT <= 0.15
    concerned = {address for box in mailboxes.values() for letter in box for address in letter.concerns}
    assert concerned == {candidate.address for candidate in CANDIDATES}


def test_every_letter_is_correct_mail(letters: Sequence[Letter]) -> None:
    for letter in letters:
        assert b"\n" not in letter.raw.replace(b"\r\n", b"")
        assert max(map(len, letter.raw.split(b"\r\n"))) <= 998
        assert letter.raw.isascii()
        message = message_from_bytes(letter.raw)
        for part in message.walk():
            assert not part.defects
        for header in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
            assert len(message.get_all(header, [])) == 1, header
        assert all("@" in address for _, address in getaddresses(message.get_all("To", [])))
        assert abs(parsedate_to_datetime(message["Date"]) - letter.received_at) < timedelta(minutes=1)
        assert str(make_header(decode_header(message["Subject"])))
        assert text_of(message).strip()


def test_the_strict_parser_finds_nothing_wrong_either(letters: Sequence[Letter]) -> None:
    for letter in letters[::9]:
        message = message_from_bytes(letter.raw, policy=policy.default)
        for name in ("From", "To", "Cc", "Subject", "Date"):
            assert message[name] is None or not message[name].defects, (name, message[name])


def test_a_letter_of_everybody_else_names_no_candidate(letters: Sequence[Letter]) -> None:
    local_parts = [candidate.address.partition("@")[0] for candidate in CANDIDATES]
    for letter in letters:
        if letter.concerns:
            continue
        everything = letter.raw.decode() + text_of(message_from_bytes(letter.raw))
        assert not any(candidate.address in everything for candidate in CANDIDATES)
        assert not any(f"{local}+" in everything for local in local_parts)


def test_a_letter_with_a_candidate_has_their_address_in_a_header_unless_it_is_a_bounce(
    letters: Sequence[Letter],
) -> None:
    tagged = 0
    for letter in letters:
        if not letter.concerns or "message/delivery-status" in types_of(letter):
            continue
        message = message_from_bytes(letter.raw)
        entries = getaddresses([value for name in ("From", "To", "Cc") for value in message.get_all(name, [])])
        addresses = [address for _, address in entries]
        local, _, domain = letter.concerns[0].partition("@")
        assert any(a.endswith(f"@{domain}") and a.partition("@")[0].partition("+")[0] == local for a in addresses)
        tagged += letter.concerns[0] not in addresses
    assert tagged


def test_what_went_to_both_recruiters_has_one_message_id_in_both_mailboxes(mailboxes: Mailboxes) -> None:
    first, second = (
        {message_from_bytes(letter.raw)["Message-ID"]: letter for letter in box} for box in mailboxes.values()
    )
    shared = first.keys() & second.keys()
    assert len(shared) > 20
    addresses = {recruiter.address for recruiter in RECRUITERS}
    for box in (first, second):
        for message_id, letter in box.items():
            message = message_from_bytes(letter.raw)
            entries = getaddresses([value for name in ("From", "To", "Cc") for value in message.get_all(name, [])])
            assert (addresses <= {a.replace("+jobs@", "@") for _, a in entries}) == (message_id in shared)


def test_replies_name_what_they_answer(mailboxes: Mailboxes) -> None:
    longest = 0
    for box in mailboxes.values():
        messages = [message_from_bytes(letter.raw) for letter in box if letter.concerns]
        known = {message["Message-ID"] for message in messages}
        for message in messages:
            references = message.get("References", "").split()
            longest = max(longest, len(references))
            if references:
                assert message["In-Reply-To"] == references[-1]
                assert set(references) <= known
    assert longest >= 10


def test_all_kinds_of_mail_are_there(letters: Sequence[Letter]) -> None:
    folders = Counter(letter.folder for letter in letters)
    assert set(folders) == {"INBOX", "Sent", "Archive", "Junk"}
    kinds = set().union(*map(types_of, letters))
    assert {
        "text/html",
        "text/calendar",
        "image/png",
        "application/pdf",
        "multipart/related",
        "multipart/report",
        "message/delivery-status",
    } <= kinds
    parts = [part for letter in letters for part in message_from_bytes(letter.raw).walk() if not part.is_multipart()]
    assert {"iso-8859-1", "iso-2022-jp", "windows-1256", "iso-8859-2", "utf-8", "us-ascii"} <= {
        part.get_content_charset() for part in parts
    }
    assert {"quoted-printable", "base64", "7bit"} <= {part.get("Content-Transfer-Encoding", "7bit") for part in parts}
    headers = [message_from_bytes(letter.raw) for letter in letters]
    assert any(message["Auto-Submitted"] == "auto-replied" for message in headers)
    assert any(message["List-Id"] for message in headers)


def test_attached_pdfs_say_where_their_objects_are(letters: Sequence[Letter]) -> None:
    checked = 0
    for letter in letters:
        for part in message_from_bytes(letter.raw).walk():
            if part.get_content_type() == "application/pdf":
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes)
                assert content.startswith(b"%PDF-")
                table_at = int(content.split()[-2])
                offsets = content[table_at:].split(b"\n")[3:9]
                for number, offset in enumerate(offsets, 1):
                    assert content[int(offset[:10]) :].startswith(b"%d 0 obj" % number)
                checked += 1
    assert checked > 10


def test_a_conversation_goes_on_live(mailboxes: Mailboxes) -> None:
    chance = random.Random(3)
    first = new_letter(chance, CANDIDATES, RECRUITERS, UNTIL)
    assert len(first.letter.concerns) == 1
    assert first.mailboxes[0] in mailboxes
    thread = [first.letter.raw]
    for minute in range(1, 4):
        arrival = new_letter(chance, CANDIDATES, RECRUITERS, UNTIL + timedelta(minutes=minute), thread)
        assert arrival.letter.concerns == first.letter.concerns
        message = message_from_bytes(arrival.letter.raw)
        assert message["In-Reply-To"] == message_from_bytes(thread[-1])["Message-ID"]
        thread.append(arrival.letter.raw)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: f"{candidate.language} {candidate.program}")
def test_a_candidate_answers_what_a_recruiter_sent(letters: Sequence[Letter], candidate: Correspondent) -> None:
    sent = next(one for one in letters if one.folder == "Sent" and one.concerns == (candidate.address,))
    recruiter = getaddresses([message_from_bytes(sent.raw)["From"]])[0][1]
    chance = random.Random(5)
    arrival = new_letter(chance, CANDIDATES, RECRUITERS, UNTIL, [sent.raw])
    message = message_from_bytes(arrival.letter.raw)
    assert arrival.letter.concerns == (candidate.address,)
    assert getaddresses([message["From"]])[0][1] == candidate.writes_from
    assert recruiter in arrival.mailboxes
    assert message_from_bytes(sent.raw)["Message-ID"] in message["References"]
