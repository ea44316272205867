"""What headers and parts say of their charset, name and type is believed as far as it can be true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mime.encoded_words import decode_header
from domain.mime.parameters import read_parameterised
from domain.mime.structure import read_structure
from domain.mime_parse import parse


def text_of(content: bytes, charset: str) -> str:
    return parse(b"Content-Type: text/plain; charset=" + charset.encode() + b"\r\n\r\n" + content).text


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Grüße «5 €»", "utf-8"),
        ("Grüße «5 €»", "windows-1252"),
        ("Grüße", "iso-8859-1"),
        ("Zażółć gęślą jaźń", "iso-8859-2"),
        ("Здравствуйте", "koi8-r"),
        ("Здравствуйте", "windows-1251"),
        ("Καλημέρα", "iso-8859-7"),
        ("שלום", "windows-1255"),
        ("مرحبا", "windows-1256"),
        ("こんにちは", "iso-2022-jp"),
        ("こんにちは", "shift_jis"),
        ("こんにちは", "euc-jp"),
        ("안녕하세요", "euc-kr"),
        ("你好", "gb2312"),
        ("你好", "big5"),
        ("你好", "utf-16"),
        ("Grüße & +", "utf-7"),
    ],
)
def test_declared_charsets_are_read(text: str, charset: str) -> None:
    assert text_of(text.encode(charset), charset) == text
    assert text_of(text.encode(charset), f'"{charset.upper()}"') == text


@pytest.mark.parametrize(
    ("content", "declared", "text"),
    [
        ("Grüße".encode(), "iso-8859-1", "Grüße"),
        ("Grüße".encode(), "us-ascii", "Grüße"),
        ("Grüße".encode("cp1252"), "utf-8", "Grüße"),
        ("Grüße".encode() + b"\xff", "utf-8", "Grüße\N{REPLACEMENT CHARACTER}"),
        ("Grüße".encode("cp1252"), "us-ascii", "Grüße"),
        ("„Grüße“".encode("cp1252"), "iso-8859-1", "„Grüße“"),
        ("①".encode("cp932"), "shift_jis", "①"),
        ("鎔".encode("gbk"), "gb2312", "鎔"),
        ("こんにちは".encode("iso-2022-jp"), "us-ascii", "こんにちは"),
        ("Grüße".encode(), "no-such-charset", "Grüße"),
        ("Grüße".encode(), "unicode_escape", "Grüße"),
        ("Grüße".encode("cp1252"), "", "Grüße"),
        (b"caf\x81", "windows-1252", "caf\x81"),
    ],
)
def test_charsets_that_are_lied_about_are_seen_through(content: bytes, declared: str, text: str) -> None:
    assert text_of(content, declared) == text


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?UTF-8?B?R3LDvMOfZQ==?= Ana", "Grüße Ana"),
        (b"=?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?q?one?= =?utf-8?q?_two?=", "one two"),
        (b"=?iso-8859-1?q?Gr=FC?==?utf-8?b?w59l?=", "Grüße"),
        (b'"=?utf-8?q?Gr=C3=BC=C3=9Fe?="', '"Grüße"'),
        (b"=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?q?What is this=3F?=", "What is this?"),
        (b"=?utf-8?b?R3LDvMOfZQ?=", "Grüße"),
        (b"=?iso-2022-jp?B?GyRCJDMkcxsoQg==?=", "こん"),
        (b"=?unknown?q?Gr=FC=DFe?=", "Grüße"),
        (b"=?utf-8?x?Hello?=", "=?utf-8?x?Hello?="),
        (b"=?utf-8?q?unclosed", "=?utf-8?q?unclosed"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("cp1252"), "Grüße"),
        (b"folded\r\n\tonce", "folded\tonce"),
    ],
)
def test_encoded_words_are_read_as_meant(header: bytes, text: str) -> None:
    assert decode_header(header) == text


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'attachment; filename="cv.pdf"', "cv.pdf"),
        (b"attachment; filename=cv ana.pdf", "cv ana.pdf"),
        (b"attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%20Ana.pdf", "Grüße Ana.pdf"),
        (b"attachment; filename*=iso-8859-1'de'Gr%FC%DFe.pdf", "Grüße.pdf"),
        (b'attachment; filename*0="a long "; filename*1="name.pdf"', "a long name.pdf"),
        (b"attachment; filename*1*=%C3%9Fe.pdf; filename*0*=utf-8''Gr%C3%BC", "Grüße.pdf"),
        (b"attachment; filename*0*=utf-8''Gr%C3%BC%C3; filename*1*=%9Fe; filename*2=.pdf", "Grüße.pdf"),
        (b"attachment; filename=plain.pdf; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
        (b'attachment; filename="=?utf-8?q?Gr=C3=BC=C3=9Fe=2Epdf?="', "Grüße.pdf"),
        ('attachment; filename="Grüße.pdf"'.encode("cp1252"), "Grüße.pdf"),
        (rb'attachment; filename="a \"b\".pdf"', 'a "b".pdf'),
        (rb'attachment; filename="C:\TEMP\cv.pdf"', r"C:\TEMP\cv.pdf"),
        (b'attachment (as said); filename="cv.pdf"', "cv.pdf"),
        (b'attachment; filename="unclosed.pdf', "unclosed.pdf"),
    ],
)
def test_file_names_are_read_in_the_forms_in_use(disposition: bytes, name: str) -> None:
    assert read_parameterised(disposition).parameters["filename"] == name


def test_only_so_many_parameters_and_headers_are_read() -> None:
    parameters = b"".join(b"; p%d=x" % number for number in range(5000))
    assert len(read_parameterised(b"text/plain" + parameters).parameters) <= 100
    root, _ = read_structure(b"X-Filler: y\r\n" * 20_000 + b"Subject: late\r\n\r\nbody")
    assert len(root.headers) == 1000
    assert root.body == b"body"


def test_every_message_of_a_digest_is_a_file() -> None:
    part = b"--b\r\n\r\nSubject: %s\r\n\r\ntext\r\n"
    message = parse(
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + part % b"One" + part % b"Two" + b"--b--\r\n"
    )
    assert [(file.filename, file.content_type) for file in message.attachments] == [
        ("One.eml", "message/rfc822"),
        ("Two.eml", "message/rfc822"),
    ]


def test_parts_within_parts_are_found() -> None:
    raw = b"--b%d\r\n\r\nlast\r\n--b%d--" % (9, 9)
    for depth in range(9, 0, -1):
        raw = b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n%s\r\n--b%d--" % (
            depth - 1,
            depth,
            raw,
            depth - 1,
        )
    message = parse(b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n" + raw)
    assert (message.text, message.defects) == ("last", ())


@given(st.binary(max_size=200))
def test_any_header_is_read(header: bytes) -> None:
    for value in (header, b"=?utf-8?q?" + header + b"?=", b"a/b; name*0*=" + header, b'a/b; name="' + header):
        decode_header(value).encode()
        for text in read_parameterised(value).parameters.values():
            text.encode()
