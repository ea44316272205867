"""What is wrapped is shown, what is encrypted says so, and nothing that wraps can stall the reading."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mail import ParsedMessage
from domain.mime.armour import is_pgp_message, split_pgp_signature, split_uuencoded
from domain.mime.cms import CmsKind, kind_of_cms, signed_content
from domain.mime.rtf import decompressed, read_rtf
from domain.mime.tnef import TnefContents, read_tnef
from domain.mime_parse import parse
from tests.support.mail_files import corpus, own_message

ENCRYPTED = "This message is encrypted: only the recipient's own mail program can open it."


def files(message: ParsedMessage) -> list[tuple[str, str, bytes]]:
    return [(part.filename, part.content_type, part.content) for part in message.attachments]


def attribute(level: int, number: int, content: bytes) -> bytes:
    return struct.pack("<BII", level, number, len(content)) + content + struct.pack("<H", sum(content) & 0xFFFF)


def text_property(number: int, text: str) -> bytes:
    content = text.encode("utf-16-le") + b"\0\0"
    return struct.pack("<HHII", 0x1F, number, 1, len(content)) + content + b"\0" * (-len(content) % 4)


def properties(*written: bytes) -> bytes:
    return struct.pack("<I", len(written)) + b"".join(written)


def tnef(*attributes: bytes) -> bytes:
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(attributes)


WINMAIL = tnef(
    attribute(1, 0x69003, properties(text_property(0x1000, "Grüße, Ana"))),
    attribute(2, 0x69002, b"\0" * 14),
    attribute(2, 0x6800F, b"%PDF-1.4"),
    attribute(2, 0x18010, b"CV.PDF\0"),
    attribute(2, 0x69005, properties(text_property(0x3707, "Lebenslauf Köhler.pdf"))),
)


def with_winmail(text: str, contents: bytes) -> bytes:
    head = f"From: ana@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{text}\r\n--b\r\n"
    part = "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    return (head + part).encode() + contents + b"\r\n--b--\r\n"


def test_outlooks_packet_gives_its_files_and_its_text_where_there_is_no_other() -> None:
    cv = ("Lebenslauf Köhler.pdf", "application/pdf", b"%PDF-1.4")
    message = parse(with_winmail("", WINMAIL))
    assert (message.text.strip(), files(message)) == ("Grüße, Ana", [cv])
    message = parse(with_winmail("Hello", WINMAIL))
    assert (message.text, files(message)) == ("Hello", [cv])


def test_outlooks_packet_that_adds_nothing_is_not_shown() -> None:
    bare = tnef(attribute(1, 0x69003, properties(text_property(0x1000, "Hello"))))
    assert files(parse(with_winmail("Hello", bare))) == []


def test_a_packet_that_is_none_stays_a_file() -> None:
    assert files(parse(with_winmail("Hello", b"rubbish"))) == [("winmail.dat", "application/ms-tnef", b"rubbish")]


def test_a_message_within_outlooks_packet_is_taken_apart() -> None:
    wrapped = tnef(
        attribute(2, 0x69002, b"\0" * 14),
        attribute(2, 0x69005, properties(text_property(0x3001, "Reference"))),
        attribute(2, 0x6800F, WINMAIL),
    )
    assert [(name, content) for name, _, content in files(parse(with_winmail("Hello", wrapped)))] == [
        ("Reference.txt", "Grüße, Ana".encode()),
        ("Lebenslauf Köhler.pdf", b"%PDF-1.4"),
    ]


def test_rich_text_becomes_words_or_the_html_it_was_made_from() -> None:
    rich = read_rtf(rb"{\rtf1\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Gr\'fc\'dfe\par \u8364?5 \{x\}}")
    assert (rich.content, rich.is_html) == ("Grüße\n€5 {x}", False)
    rich = read_rtf(rb"{\rtf1\fromhtml1{\*\htmltag64 <p>}\htmlrtf \par \htmlrtf0 a < b{\*\htmltag72 </p>}}")
    assert (rich.content, rich.is_html) == ("<p>a &lt; b</p>", True)


def test_files_within_a_text_are_taken_out_of_it() -> None:
    message = parse(own_message("uuencoded-in-text"))
    assert message.text.split("\n\n") == ["Here is my CV:", "\nbegin with the second page, please.\n"]
    assert files(message) == [("cv ana.pdf", "application/pdf", b"%PDF-1.4")]


def test_what_only_begins_like_a_file_stays_text() -> None:
    for text in (b"begin 644 cv.pdf\nno such thing\nend\n", b"begin 644 x\n#86)C\n", b"begin 12 x\n`\nend\n"):
        assert split_uuencoded(text) == (text, ())


def test_a_text_signed_in_place_is_readable_without_its_signature() -> None:
    message = parse(own_message("pgp-signed-in-text"))
    assert message.text.strip() == "I accept the offer.\n-- \nAna"
    assert [name for name, _, _ in files(message)] == ["signature.asc"]


def test_signed_mail_shows_its_content_and_names_its_signature() -> None:
    message = parse(own_message("signed-smime"))
    assert message.text == "I accept the offer."
    assert files(message) == [("smime.p7s", "application/pkcs7-signature", b"0\n")]


def test_encrypted_mail_says_so_and_keeps_its_parts() -> None:
    message = parse(own_message("pgp-encrypted"))
    assert message.text == message.snippet == ENCRYPTED
    assert [name for name, _, _ in files(message)] == ["attachment-1.asc", "encrypted.asc"]
    message = parse(b"Subject: x\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n")
    assert message.text == ENCRYPTED
    assert [name for name, _, _ in files(message)] == ["message.asc"]


def ber(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def open_ber(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x80]) + content + b"\0\0"


def oid(hexadecimal: str) -> bytes:
    return ber(0x06, bytes.fromhex(hexadecimal))


def signed(content: bytes, *, is_open: bool) -> bytes:
    """A CMS SignedData around `content`, with lengths or with end marks."""
    wrap = open_ber if is_open else ber
    octets = wrap(0x24, ber(0x04, content[:5]) + ber(0x04, content[5:])) if is_open else ber(0x04, content)
    enclosed = wrap(0x30, oid("2a864886f70d010701") + wrap(0xA0, octets))
    digests = wrap(0x31, ber(0x30, oid("608648016503040201")))
    return wrap(0x30, oid("2a864886f70d010702") + wrap(0xA0, wrap(0x30, ber(0x02, b"\1") + digests + enclosed)))


@pytest.mark.parametrize("is_open", [False, True])
def test_mail_within_its_signature_is_read(is_open: bool) -> None:
    inner = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "I accept. Grüße\r\n".encode() * 20
    raw = signed(inner, is_open=is_open)
    head = b"Subject: Offer\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
    message = parse(head + b"Content-Transfer-Encoding: binary\r\n\r\n" + raw)
    assert (message.subject, message.reply_text.split("\n")[0]) == ("Offer", "I accept. Grüße")
    assert files(message) == [("smime.p7m", "application/pkcs7-mime", raw)]


@pytest.mark.parametrize("parameters", ["; smime-type=enveloped-data", "", "; smime-type=signed-data"])
def test_what_is_encrypted_is_told_by_its_content(parameters: str) -> None:
    raw = ber(0x30, oid("2a864886f70d010703") + ber(0xA0, ber(0x30, b"secret")))
    message = parse(f"Content-Type: application/x-pkcs7-mime{parameters}\r\n\r\n".encode() + raw)
    assert message.text == ENCRYPTED
    assert [name for name, _, _ in files(message)] == ["smime.p7m"]


def test_parts_of_a_larger_message_and_references_elsewhere_are_but_files() -> None:
    message = parse(own_message("partial-and-external"))
    assert message.text == "See below."
    assert [(name, content_type) for name, content_type, _ in files(message)] == [
        ("attachment-1.eml", "message/partial"),
        ("attachment-2.txt", "message/external-body"),
    ]


def test_an_invitation_is_kept_as_a_calendar_file() -> None:
    assert [name for name, _, _ in files(parse(own_message("invitation")))] == ["invite.ics"]


@given(st.binary(max_size=300))
def test_decoders_bear_any_bytes(raw: bytes) -> None:
    for content in (raw, WINMAIL[:6] + raw, WINMAIL + raw):
        read_tnef(content)
    read_rtf(decompressed(struct.pack("<IIII", 0, 10_000, 0x75465A4C, 0) + raw))
    read_rtf(rb"{\rtf1\fromhtml1 " + raw)
    split_uuencoded(b"begin 644 x\n" + raw + b"\nend\n")
    split_pgp_signature(b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + raw)
    is_pgp_message(raw)
    kind_of_cms(raw)
    signed_content(signed(raw, is_open=True))


@given(st.sampled_from([WINMAIL, signed(b"x" * 50, is_open=True), signed(b"x" * 50, is_open=False)]), st.data())
def test_damaged_packets_are_read(whole: bytes, data: st.DataObject) -> None:
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 10))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    parse(with_winmail("", bytes(raw)))
    parse(b"Content-Type: application/pkcs7-mime\r\n\r\n" + bytes(raw))


@given(st.binary(min_size=1, max_size=500).filter(lambda content: b"\r" not in content))
def test_a_signed_content_comes_out_as_it_went_in(content: bytes) -> None:
    assert signed_content(signed(content, is_open=True)) == signed_content(signed(content, is_open=False)) == content
    assert kind_of_cms(signed(content, is_open=True)) is CmsKind.SIGNED


RICH = struct.pack("<IIII", 0, 1 << 30, 0x75465A4C, 0) + b"\0{\\'41}{a" * 100_000
HEAD_OF_SIGNED = signed(b"", is_open=True)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"begin 644 x\n" * 300_000, id="files that only begin"),
        pytest.param(b"begin 644 x\n" + b"\n" * 3_000_000, id="empty lines in a file"),
        pytest.param(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: a\n" * 100_000, id="signatures that only begin"),
        pytest.param(with_winmail("", tnef(attribute(1, 0x90000, b"") * 300_000)), id="attributes"),
        pytest.param(
            with_winmail("", tnef(attribute(1, 0x69003, struct.pack("<IHHI", 9, 0x101F, 0x3001, 1 << 31) + b"\0" * 10**7))),
            id="values of a property",
        ),
        pytest.param(
            with_winmail("", tnef(attribute(1, 0x69003, properties(struct.pack("<HHII", 0x102, 0x1009, 1, len(RICH)) + RICH)))),
            id="rich text",
        ),
        pytest.param(
            b"Content-Type: application/pkcs7-mime\r\n\r\n" + HEAD_OF_SIGNED.rstrip(b"\0") + b"\4\0" * 3_000_000,
            id="empty pieces of a content",
        ),
    ],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_packets_made_to_stall_a_reader_do_not(raw: bytes) -> None:
    parse(raw)


INTERFACE = bytes.fromhex("0b00000000000000c000000000000046")
"""The name of the interface that opens an object; the expectations have it in the file."""


def test_packets_of_the_corpus_have_their_files() -> None:
    folder = corpus("tnef/tests/files")
    listed, found = 0, 0
    for path in sorted((folder / "datafiles").glob("*.tnef")):
        contents = read_tnef(path.read_bytes())
        assert contents is not None
        names = [name for name in path.with_suffix(".list").read_text().split("\n") if name]
        listed += len(names)
        found += sum(is_found(folder / "baselines", name, contents) for name in names)
    assert listed > 20
    assert found == listed


def is_found(baselines: Path, name: str, contents: TnefContents) -> bool:
    """Whether a file or the body came out with the very bytes that are expected."""
    expected = (baselines / f"{name}.baseline").read_bytes()
    return any(expected in {content, INTERFACE + content} for content in all_contents(contents))


def all_contents(contents: TnefContents) -> Iterator[bytes]:
    yield from (file.content for file in contents.files if file.content is not None)
    if contents.html is not None:
        yield contents.html
    if contents.rtf is not None:
        yield decompressed(contents.rtf)
