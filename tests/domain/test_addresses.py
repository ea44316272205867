"""Addresses are compared as people mean them."""

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.addresses import base, canonical, domain_of, normalise_domain

local_parts = st.from_regex(r"[A-Za-z0-9_+'-]{1,20}(\.[A-Za-z0-9_+'-]{1,20}){0,1}", fullmatch=True)
domains = st.from_regex(r"([A-Za-z0-9]{1,12}\.){1,3}(org|de|example)", fullmatch=True)
addresses = st.builds("{}@{}".format, local_parts, domains)
anything = st.one_of(
    st.text(),
    st.text(alphabet='ab.@"\\+ <>[]:äßİ\u0301\u00ad\ud800\x00-_\u3002'),
    st.builds("{}@{}".format, st.text(max_size=12), st.text(max_size=12)),
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Ana.Silva@Example.ORG", "ana.silva@example.org"),
        ("  ana@example.org\r\n", "ana@example.org"),
        ("ana@MÜLLER.example", "ana@xn--mller-kva.example"),
        ("ana@xn--Mller-Kva.example", "ana@xn--mller-kva.example"),
        ("ana@mu\u0308ller.example", "ana@xn--mller-kva.example"),
        ("ana@example\u3002org", "ana@example.org"),
        ("JOSÉ@example.org", "josé@example.org"),
        ("jose\u0301@example.org", "josé@example.org"),
        ('"ana.silva"@example.org', "ana.silva@example.org"),
        ('"an\\a"@example.org', "ana@example.org"),
        ('"Ana Silva"@example.org', '"ana silva"@example.org'),
        ('"a\\"b"@example.org', '"a\\"b"@example.org'),
        ("a..b@carrier.example", '"a..b"@carrier.example'),
        ('"a..b"@carrier.example', '"a..b"@carrier.example'),
        ("ana@[192.0.2.7]", "ana@[192.0.2.7]"),
        ("ana@[IPv6:2001:DB8::1]", "ana@[ipv6:2001:db8::1]"),
        ("root@localhost", "root@localhost"),
        ("ana@under_score.example", "ana@under_score.example"),
        ("ana@xn--n3h.example", "ana@xn--n3h.example"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
    ],
)
def test_spellings_of_one_address_have_one_form(written: str, expected: str) -> None:
    assert canonical(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ana",
        "@example.org",
        "ana@",
        "ana@example..org",
        "ana@-example.org",
        "ana@example.org.",
        "ana silva@example.org",
        "ana@exam ple.org",
        "<ana@example.org>",
        "ana@b@example.org",
        '"ana@example.org',
        '"a"b"@example.org',
        "a\x00b@example.org",
        '"a\nb"@example.org',
        "a\ud800@example.org",
        "a" * 65 + "@example.org",
        "ü" * 33 + "@example.org",
        "ana@" + ".".join(["a" * 60] * 5),
        "ana@" + "a" * 64 + ".org",
        "ana@☃.example",
        "x" * 100_000 + "@example.org",
    ],
)
def test_what_is_no_address_has_no_form(written: str) -> None:
    assert canonical(written) is None


@given(anything)
def test_any_text_is_judged_without_raising_and_the_form_is_stable(text: str) -> None:
    form = canonical(text)
    if form is not None:
        assert canonical(form) == form
        assert base(base(form)) == base(form)
        assert domain_of(form)
    domain = normalise_domain(text)
    if domain is not None:
        assert normalise_domain(domain) == domain


@given(addresses)
def test_case_makes_no_difference(address: str) -> None:
    assert canonical(address) == canonical(address.upper()) == canonical(address.lower()) is not None


@given(local_parts, st.text(alphabet="abcäöüßéèñøåçδжшあ漢", min_size=1, max_size=15))
def test_both_spellings_of_an_international_domain_are_equal(local_part: str, label: str) -> None:
    domain = f"{label}.example"
    ascii_domain = idna.encode(domain, uts46=True).decode()
    assert canonical(f"{local_part}@{domain}") == canonical(f"{local_part}@{ascii_domain}") is not None
    assert normalise_domain(domain) == normalise_domain(ascii_domain) == ascii_domain


@given(addresses)
def test_the_form_of_an_address_has_the_form_of_its_domain(address: str) -> None:
    form = canonical(address)
    assert form is not None
    assert domain_of(form) == normalise_domain("@" + address.rpartition("@")[2])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("ana+jobs@example.org", "ana@example.org"),
        ("ana+jobs+more@example.org", "ana@example.org"),
        ("ana.silva@example.org", "ana.silva@example.org"),
        ("a.n.a+x@gmail.com", "ana@gmail.com"),
        ("an.a@googlemail.com", "ana@gmail.com"),
        ("+jobs@example.org", "+jobs@example.org"),
        ("a.+b@example.org", "a.+b@example.org"),
        ('"a b+c"@example.org', '"a b+c"@example.org'),
    ],
)
def test_a_plus_tag_and_gmail_dots_do_not_change_the_base(form: str, expected: str) -> None:
    assert base(form) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Example.ORG", "example.org"),
        (" @example.org. ", "example.org"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("", None),
        ("@", None),
        ("ana@example.org", None),
        ("a b.org", None),
        ("*.example.org", None),
    ],
)
def test_domains_are_read_as_people_write_them(written: str, expected: str | None) -> None:
    assert normalise_domain(written) == expected
