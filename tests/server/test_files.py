"""Links to files: what they lead to is saved, never run, under a name that is only a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.mailserver import MailSandbox
from server.files import UNKNOWN_TYPE, content_disposition, media_type
from services.deps import Deps
from services.files import source_url
from services.sync import run_mailbox
from tests.server.conftest import Scene
from tests.support.office import Office, days_ago, letter
from tests.support.site import served


@given(st.text(max_size=400))
def test_no_file_name_leaves_its_header_or_its_folder(filename: str) -> None:
    header = content_disposition(filename)
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    plain, _, extended = header.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    assert '"' not in plain
    assert "/" not in plain
    assert "\\" not in plain
    assert plain.strip(". ")
    assert set(extended) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("cv.pdf", "attachment; filename=\"cv.pdf\"; filename*=UTF-8''cv.pdf"),
        ("../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
        ("C:\\cv.pdf", "attachment; filename=\"cv.pdf\"; filename*=UTF-8''cv.pdf"),
        ('a"; x="b.pdf', "attachment; filename=\"a_; x=_b.pdf\"; filename*=UTF-8''a%22%3B%20x%3D%22b.pdf"),
        (
            "Lebenslauf Müller.pdf",
            "attachment; filename=\"Lebenslauf M_ller.pdf\"; filename*=UTF-8''Lebenslauf%20M%C3%BCller.pdf",
        ),
        ("cv\u202efdp.exe", "attachment; filename=\"cvfdp.exe\"; filename*=UTF-8''cvfdp.exe"),
        ("a\r\nSet-Cookie: x", "attachment; filename=\"aSet-Cookie: x\"; filename*=UTF-8''aSet-Cookie%3A%20x"),
        ("", "attachment; filename=\"attachment\"; filename*=UTF-8''attachment"),
        ("..", "attachment; filename=\"attachment\"; filename*=UTF-8''attachment"),
    ],
)
def test_names_are_kept_as_far_as_they_are_harmless(filename: str, expected: str) -> None:
    assert content_disposition(filename) == expected


def test_a_long_name_keeps_its_ending() -> None:
    assert content_disposition("x" * 500 + ".pdf").endswith("x.pdf")


@pytest.mark.parametrize("declared", ["", "text", "text/html\r\nX: y", "text/html; charset=utf-8", "a/b/c", "é/x"])
def test_a_type_that_is_none_is_unknown(declared: str) -> None:
    assert media_type(declared) == UNKNOWN_TYPE


@pytest.mark.parametrize(
    "path", ["/attachments/x", "/sources/x", f"/sources/{'A' * 300}", "/sources/%00", "/attachments/é"]
)
async def test_a_link_that_nobody_made_leads_nowhere(scene: Scene, path: str) -> None:
    assert (await scene.site.get(path)).status_code == 404


async def test_the_source_of_a_message_is_saved_and_only_for_its_reader(
    deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    rita = await office.user(address)
    await office.candidate("ana@mail.example")
    raw = letter("ana@mail.example", address, "Hello")
    mail_server.deliver(address, raw, received_at=days_ago(1))
    await run_mailbox(deps, await office.connect(rita, address, mail_server))
    [message] = await office.rows("SELECT id FROM message")
    path = source_url(deps, rita, message["id"]).removeprefix(deps.settings.public_url)  # type: ignore[arg-type]
    async with served(deps) as site:
        answer = await site.get(path)
        assert answer.status_code == 200
        assert b"Subject: Hello" in answer.content
        assert answer.headers["content-type"] == "message/rfc822"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        async with deps.db.transaction() as tx:
            await tx.execute("UPDATE thread SET readers = '{}'")
        assert (await site.get(path)).status_code == 404
