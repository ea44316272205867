"""An office to test with: an organisation with a recruiter and candidates, and her mailbox on a real mail server."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import count
from uuid import UUID

from demo.mailserver import MailSandbox
from domain import clock
from domain.access import Viewer
from domain.addresses import base, canonical
from domain.events import position_now
from domain.ids import OrganisationId, new_id
from providers.base import ServerLogin, TransportSecurity
from services.connecting import HistoryChoice, connect_imap_mailbox
from services.deps import Deps
from services.unit_of_work import unit_of_work
from services.viewers import viewer_of

PASSWORD = "correct horse"
_numbers = count(1)


@dataclass(frozen=True)
class Office:
    """One organisation with its people, made directly in the database."""

    deps: Deps
    organisation_id: UUID

    @classmethod
    async def open(cls, deps: Deps, *, internal_domains: tuple[str, ...] = ()) -> "Office":
        organisation_id = new_id()
        async with deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO organisation (id, name, internal_domains, event_position, created_at) "
                "VALUES ($1, 'Acme', $2, $3, now())",
                organisation_id,
                list(internal_domains),
                position_now(),
            )
        return cls(deps, organisation_id)

    async def user(self, address: str, level: str = "FULL") -> Viewer:
        user_id = new_id()
        form = canonical(address) or ""
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO user_account (id, organisation_id, external_id, name, email, access_level, reads_since, "
                "created_at) VALUES ($1, $2, $3, $3, $3, $4, now(), now())",
                user_id,
                self.organisation_id,
                address,
                level,
            )
            await tx.execute(
                "INSERT INTO user_address (organisation_id, user_id, address, canonical, base) "
                "VALUES ($1, $2, $3, $4, $5)",
                self.organisation_id,
                user_id,
                address,
                form,
                base(form),
            )
        return await self.viewer(address)

    async def viewer(self, external_id: str) -> Viewer:
        async with self.deps.db.snapshot() as snapshot:
            return await viewer_of(snapshot, OrganisationId(self.organisation_id), external_id)

    async def candidate(self, address: str, *jobs: UUID) -> UUID:
        candidate_id = new_id()
        form = canonical(address) or ""
        async with unit_of_work(self.deps, self.organisation_id) as work:
            await work.tx.execute(
                "INSERT INTO candidate (id, organisation_id, external_id, name, created_at) "
                "VALUES ($1, $2, $3, $3, now())",
                candidate_id,
                self.organisation_id,
                address,
            )
            await work.tx.execute(
                "INSERT INTO candidate_email (id, organisation_id, candidate_id, address, canonical, base, added_at) "
                "VALUES ($1, $2, $3, $4, $5, $6, now())",
                new_id(),
                self.organisation_id,
                candidate_id,
                address,
                form,
                base(form),
            )
            for job in jobs:
                await work.tx.execute(
                    "INSERT INTO application (candidate_id, job_id) VALUES ($1, $2)", candidate_id, job
                )
        return candidate_id

    async def job(self, title: str, *team: Viewer, status: str = "OPEN") -> UUID:
        job_id = new_id()
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO job (id, organisation_id, external_id, title, status, created_at) "
                "VALUES ($1, $2, $3, $3, $4, now())",
                job_id,
                self.organisation_id,
                title,
                status,
            )
            for member in team:
                await tx.execute("INSERT INTO job_member (job_id, user_id) VALUES ($1, $2)", job_id, member.user_id)
        return job_id

    async def connect(
        self, viewer: Viewer, address: str, server: MailSandbox, scope: str = "ALL", **history: object
    ) -> UUID:
        imap, smtp = logins(address, server)
        return await connect_imap_mailbox(
            self.deps,
            viewer,
            address=address,
            imap=imap,
            smtp=smtp,
            history=HistoryChoice(scope, **history),  # type: ignore[arg-type]
        )

    async def rows(self, sql: str, *values: object) -> list[dict[str, object]]:
        async with self.deps.db.snapshot() as snapshot:
            return [dict(row) for row in await snapshot.fetch(sql, *values)]


def logins(address: str, server: MailSandbox, password: str = PASSWORD) -> tuple[ServerLogin, ServerLogin]:
    return (
        ServerLogin(server.host, server.imap_port, TransportSecurity.STARTTLS, address, password),
        ServerLogin(server.host, server.smtp_port, TransportSecurity.STARTTLS, address, password),
    )


def letter(
    sender: str,
    to: str,
    subject: str = "Hello",
    *,
    text: str | None = None,
    reply_to: bytes | None = None,
    cc: str | None = None,
    sent_at: datetime | None = None,
) -> bytes:
    """A plain message; `reply_to` is the message that it answers."""
    number = next(_numbers)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    if cc:
        message["Cc"] = cc
    message["Date"] = format_datetime(sent_at or clock.now())
    message["Message-ID"] = f"<{number}.{new_id().hex}@mail.example>"
    if reply_to is not None:
        parent = message_id(reply_to)
        message["In-Reply-To"] = message["References"] = f"<{parent}>"
    message.set_content(text or f"This is letter {number}.\n")
    return message.as_bytes()


def message_id(raw: bytes) -> str:
    line = next(line for line in raw.splitlines() if line.lower().startswith(b"message-id:"))
    return line.split(b"<")[1].split(b">")[0].decode()


def days_ago(days: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)  # noqa: TID251 - the mail server's clock
