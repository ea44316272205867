"""Mail that is not with a candidate leaves no trace: not in a table, a file, Redis or a log."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from demo.mailserver import MailSandbox
from services.deps import Deps
from services.sync import run_mailbox
from tests.support.office import Office, days_ago, letter

SECRETS = ("zanzibar-subject", "zanzibar-body", "zanzibar.example", "zanzibar-name", "zanzibar-file")


def private_letter(address: str) -> bytes:
    raw = letter(
        '"zanzibar-name" <aunt@zanzibar.example>', address, "zanzibar-subject", text="zanzibar-body zanzibar-file\n"
    )
    return raw.replace(b"@mail.example>", b"@zanzibar.example>")


def private_bounce(address: str) -> bytes:
    """Nothing in its headers tells whom it is about: it is read, in memory, to see that it is nobody's."""
    return (
        (
            f"Return-Path: <>\nFrom: MAILER-DAEMON@acme.example\nTo: {address}\nSubject: zanzibar-subject\n"
            "Message-ID: <bounce@zanzibar.example>\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n"
            "\n--b\n\nzanzibar-body\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; acme.example\n\n"
            "Final-Recipient: rfc822; aunt@zanzibar.example\nAction: failed\nStatus: 5.1.1\n"
            "\n--b\nContent-Type: message/rfc822\n\n"
        ).encode()
        + private_letter("aunt@zanzibar.example")
        + b"\n--b--\n"
    )


async def everything_stored(deps: Deps) -> str:
    """Every row of every table, as text."""
    async with deps.db.snapshot() as snapshot:
        tables = await snapshot.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [
            row["row"]
            for table in tables
            for row in await snapshot.fetch(f'SELECT t::text AS row FROM "{table["tablename"]}" t')
        ]
    return "\n".join(rows)


async def everything_in_redis(redis_url: str) -> bytes:
    async with Redis.from_url(redis_url) as redis:
        return b"\n".join([key + (await redis.dump(key) or b"") async for key in redis.scan_iter()])


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


async def test_private_mail_leaves_no_trace(
    office: Office,
    mail_server: MailSandbox,
    address: str,
    redis_url: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    recruiter = await office.user(address)
    await office.candidate("ana@mail.example")
    mail_server.deliver(address, private_letter(address), received_at=days_ago(4))
    mail_server.deliver(address, letter("ana@mail.example", address, "kept-subject"), received_at=days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    mail_server.deliver(address, private_letter(address))
    mail_server.deliver(address, private_letter(address), "Sent")
    mail_server.deliver(address, private_bounce(address))
    await run_mailbox(office.deps, mailbox)

    stored = await everything_stored(office.deps)
    files = b"\n".join(path.name.encode() + path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    out, err = capfd.readouterr()
    places = {
        "tables": stored.encode(),
        "files": files,
        "redis": await everything_in_redis(redis_url),
        "log": (out + err).encode(),
    }
    assert b"kept-subject" in places["tables"]
    assert b"kept-subject" in places["files"]
    assert b"kept-subject" not in places["redis"] + places["log"]
    found = [(place, secret) for place, text in places.items() for secret in SECRETS if secret.encode() in text]
    assert found == [], json.dumps(found)
    counted = await office.rows("SELECT sum(scanned)::int AS scanned FROM folder_state")
    assert counted[0]["scanned"] == 5
    assert await office.rows("SELECT id FROM ledger_entry") == []
