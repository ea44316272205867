"""The pure parts of the IMAP provider, over spaces too large for examples."""

import contextlib
import email.utils
import itertools
import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.mime_parse import parse as parse_message
from providers.imap import utf7
from providers.imap.criteria import address_batches, any_of
from providers.imap.cursor import FolderState, IMAPCursor
from providers.imap.failures import ProtocolViolation
from providers.imap.fetched import UNKNOWN_DATE, read_fetch, read_internal_date
from providers.imap.headers import HeaderReader, find_addresses, read_header_fields
from providers.imap.ranges import UIDRanges
from providers.imap.wire import ResponseReader, parse
from tests.support.mail_files import corpus_files

uid_sets = st.sets(st.integers(1, 300))

# --- Modified UTF-7 ---


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("台北")
@example("&-&")
def test_a_folder_name_survives_the_way_there_and_back(name: str) -> None:
    wire = utf7.encode(name)
    assert all(" " <= character <= "~" for character in wire)
    assert utf7.decode(wire) == name


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_printable_wire_name_is_decoded_somehow(wire: str) -> None:
    utf7.decode(wire)


def test_the_examples_of_the_standard_hold() -> None:
    assert utf7.encode("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"  # RFC 3501 §5.1.3
    assert utf7.encode("Hi & bye") == "Hi &- bye"


# --- Ranges ---


@given(uid_sets, uid_sets)
def test_ranges_hold_exactly_their_uids_and_are_as_few_as_can_be(first: set[int], second: set[int]) -> None:
    union = UIDRanges.of(first) | UIDRanges.of(second)
    assert {uid for uid in range(1, 302) if uid in union} == first | second
    assert UIDRanges.parse(str(union)) == union
    pairs = list(union)
    assert all(end + 1 < start for (_, end), (start, _) in itertools.pairwise(pairs))


@pytest.mark.parametrize("text", ["0", "1:", "x", "5000000000", "1,,2", "-1"])
def test_what_is_no_set_of_uids_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="UID"):
        UIDRanges.parse(text)


@given(uid_sets, st.integers(1, 40), st.sets(st.integers(1, 300)))
def test_history_read_in_pages_folds_to_one_range_and_claims_nothing_unread(
    existing: set[int], page: int, left_out: set[int]
) -> None:
    ordered = sorted(existing)
    cursor = IMAPCursor.at(FolderState(7, 301))
    waiting = [uid for uid in ordered if uid not in left_out]
    while waiting:
        uids, waiting = waiting[-page:], waiting[:-page]
        cursor = cursor.after_history(uids, ordered)
        assert not [uid for uid in existing if uid in cursor.seen and (uid in left_out or uid in waiting)]
        assert all(uid in cursor.seen for uid in uids)
    if existing and not existing & left_out:
        assert str(cursor.seen) == "1:300"
    assert len(cursor.seen) <= len(existing & left_out) + 1
    assert IMAPCursor.from_stored(cursor.stored(), FolderState(7, 500)) == cursor


# --- The wire ---


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3), max_size=6), st.data())
def test_responses_are_found_however_the_bytes_are_cut(contents: list[list[bytes]], data: st.DataObject) -> None:
    stream = b"".join(
        b"* X " + b" ".join(b"{%d}\r\n%s" % (len(literal), literal) for literal in literals) + b" end\r\n"
        for literals in contents
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = ResponseReader()
    reader.allow(literal_bytes=100, total_literal_bytes=10_000)
    responses = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        responses += list(reader.feed(stream[start:end]))
    assert [parse(response)[2:-1] for response in responses] == contents
    assert reader.is_empty


@given(st.lists(st.binary(max_size=60), max_size=4))
@example([b'1 FETCH (UID 1 BODY[] "x'])
def test_a_response_of_any_bytes_is_read_or_refused(parts: list[bytes]) -> None:
    for attempt in (parse, read_fetch):
        with contextlib.suppress(ProtocolViolation):
            attempt(parts or [b""])


def test_a_literal_beyond_what_is_kept_is_cut_and_the_next_response_is_whole() -> None:
    reader = ResponseReader()
    reader.allow(literal_bytes=10, total_literal_bytes=15)
    stream = b"* 1 X {20}\r\n" + b"a" * 20 + b")\r\n* 2 X {20}\r\n" + b"b" * 20 + b")\r\n* 3 OK\r\n"
    responses = [response for byte in stream for response in reader.feed(bytes([byte]))]
    assert [response[1:2] for response in responses] == [[b"a" * 10], [b"b" * 5], []]


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1)).map(lambda at: at.replace(microsecond=0)))  # noqa: DTZ001
def test_internal_dates_of_any_zone_become_utc(at: datetime) -> None:
    stamp = at.replace(tzinfo=UTC)
    month = email.utils.format_datetime(stamp)[8:11]
    text = f"{at.day:2}-{month}-{at.year:04} {at:%H:%M:%S}".encode()
    assert read_internal_date(text + b" +0000") == stamp
    assert (read_internal_date(text + b" +0530") - stamp).total_seconds() == -19_800


@given(st.binary(max_size=40))
@example(b"31-Feb-2024 10:00:00 +0000")
@example(b"01-Jan-0001 00:00:00 +1400")
@example(b"01-Jan-2024 00:00:00 +9999")
@example(b"1 -Jan-2024 10:00:00 +0000")
def test_any_other_date_is_unknown(text: bytes) -> None:
    assert read_internal_date(text) == UNKNOWN_DATE


# --- Header fields ---

local_parts = st.from_regex(r"[a-z0-9][a-z0-9_+-]{0,10}(\.[a-z0-9]{1,5})?", fullmatch=True)
addresses = st.builds(
    "{}@{}.example".format, local_parts, st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
)
display_names = st.sampled_from(
    ["", "Ana ", '"Ana, M." ', "=?utf-8?B?QW7DoQ==?= ", "(a (nested) note) ", '"open ', "a.b "]
)
shapes = st.sampled_from(
    ["<{}>", "{}", "< {} >", "<{}> (note)", "group: {};", "<{}", "'{}'", "<mailto:{}>", "({}) x", "<@relay.example:{}>"]
)


@given(
    st.lists(st.tuples(display_names, shapes, addresses), min_size=1, max_size=5),
    st.sampled_from([", ", ",\r\n\t", ";"]),
)
def test_every_address_is_found_however_it_is_dressed(entries: list[tuple[str, str, str]], separator: str) -> None:
    value = separator.join(name + shape.format(address) for name, shape, address in entries)
    block = f"Subject: not@this.example\r\nTo: {value}\r\n\r\n".encode()
    found = read_header_fields(block).addresses
    assert {address for _, _, address in entries} <= set(found)
    assert "not@this.example" not in found


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("ana (who?) @ example (there) . org", "ana@example.org"),
        ('"ana maria"@example.org', '"ana maria"@example.org'),
        ('"ana"@example.org', "ana@example.org"),
        ("=?utf-8?q?ana=40example=2Eorg?=", "ana@example.org"),
        ("=?utf-8?b?PGFuYUBleGFtcGxl?= =?utf-8?b?Lm9yZz4=?=", "ana@example.org"),
        ("<ana@[192.0.2.1]>", "ana@[192.0.2.1]"),
        ("анна@пример.рф", "анна@пример.рф"),
        ("ana@example.org.", "ana@example.org"),
    ],
)
def test_addresses_in_hiding_are_found(value: str, address: str) -> None:
    assert address in find_addresses(value)


@given(st.binary(max_size=300))
@example(b"From:\xff\xfe<\x80@\x81>\r\n")
def test_a_header_block_of_any_bytes_is_read(block: bytes) -> None:
    fields = read_header_fields(b"From: " + block + b"\nMessage-ID: " + block)
    "".join(fields.addresses).encode()  # no lone surrogates: it can be stored


@pytest.mark.parametrize(
    "filling", [b"a", b" ", b"<", b"(", b'"', b"@", b"=?", b'"a" @', b"\\", b"\n ", b"a@b,", b"( )", b"[", b". "]
)
def test_a_quarter_megabyte_of_anything_is_read_in_linear_time(filling: bytes) -> None:
    # No clock is asked: reading twice as much in quadratic time would run into the test's time limit.
    block = (
        b"To: " + filling * (2**18 // len(filling)) + b"\r\nReferences: " + filling * (2**18 // len(filling)) + b"\r\n"
    )
    read_header_fields(block)


@pytest.mark.parametrize(
    "field",
    [
        b"From: =?utf-8?q?Mail_Delivery_System?= <server@x>",
        b"Content-Type: multipart/report;\r\n report-type=delivery-status",
        b"Content-Type: multipart/report; report-type=feedback-report",
        b"X-Failed-Recipients: ana@example.org",
        b"X-MS-Exchange-Message-Is-Ndr:",
        b"Return-Path: < >",
    ],
)
def test_what_may_be_a_report_is_told_by_its_headers(field: bytes) -> None:
    assert read_header_fields(b"To: rita@acme.example\r\n" + field + b"\r\n").may_be_report


@pytest.mark.parametrize(
    "block",
    [
        b"From: ana@example.org\r\nContent-Type: multipart/mixed\r\nReturn-Path: <ana@example.org>",
        b"Content-Type: multipart/report; report-type=disposition-notification\r\nReturn-Path: <>",
        b"From: ana@example.org\r\nReturn-Path: <>\r\nAuto-Submitted: auto-replied (vacation)",
    ],
)
def test_what_is_no_report_by_its_headers_is_left_alone(block: bytes) -> None:
    assert not read_header_fields(block).may_be_report


def test_every_report_that_can_be_read_is_told_by_its_headers() -> None:
    for path in corpus_files("bounces"):
        raw = path.read_bytes()
        if path.suffix == ".eml" and parse_message(raw).bounce is not None:
            head = raw.replace(b"\r\n", b"\n").lstrip().partition(b"\n\n")[0]
            assert read_header_fields(head).may_be_report, path.name


@given(
    st.lists(
        st.builds(
            "From: {}{}\r\nTo: {}\r\nContent-Type: {}; boundary={}\r\nReturn-Path: {}\r\nAuto-Submitted: {}\r\n".format,
            display_names,
            st.sampled_from(["<ana@mail.example>", "<bo@mail.example>", "MAILER-DAEMON@x"]),
            st.sampled_from(["rita@acme.example", "rita@acme.example, Bo <bo@mail.example>", "x" * 600 + "@x.example"]),
            st.sampled_from(["text/plain", "multipart/report", "multipart/report; report-type=tlsrpt"]),
            st.integers(0, 9),
            st.sampled_from(["<>", "<ana@mail.example>"]),
            st.sampled_from(["no", "auto-replied"]),
        ),
        max_size=8,
    )
)
def test_what_a_reader_remembers_is_what_it_would_read_afresh(blocks: list[str]) -> None:
    reader = HeaderReader()
    assert [reader.read(block.encode()) for block in blocks] == [read_header_fields(block.encode()) for block in blocks]


def test_ids_are_read_from_folded_and_broken_fields() -> None:
    block = b"Message-id:\r\n <one@x>\r\nREFERENCES: <a@x>\r\n\t<b@x> <a@x>\r\nIn-Reply-To: your mail of Monday <c@x>\r\n\r\n"
    fields = read_header_fields(block)
    assert (fields.rfc_message_id, fields.references) == ("one@x", ("a@x", "b@x", "c@x"))
    assert read_header_fields(b"Message-ID: bare@x\n").rfc_message_id == "bare@x"


# --- Search ---


@given(st.lists(addresses, min_size=1, max_size=300))
def test_searches_cover_every_address_in_lines_of_bearable_length(wanted: list[str]) -> None:
    batches = list(address_batches(wanted))
    assert [address for batch in batches for address in batch] == list(dict.fromkeys(wanted))
    for batch in batches:
        arguments = any_of(batch)
        assert len(batch) <= 50
        assert sum(len(each if isinstance(each, bytes) else each.octets) + 3 for each in arguments) < 8000
        assert arguments.count(b"OR") == 6 * len(batch) - 1


def test_addresses_are_words_to_the_reader_and_not_patterns() -> None:
    assert re.fullmatch(r"ana\+jobs@x", find_addresses("ana+jobs@x")[0])
