"""Who works at the agency of the demonstration, whom does it look for, and how does Postroom come to know of them?

All of it goes through the public API, as an applicant tracking system would do it.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from demo.api import Api, JSONObject
from demo.letter_forms import Correspondent
from demo.letter_texts import JOBS
from demo.mailserver import MailSandbox
from demo.postroom import Postroom

Submission: TypeAlias = Literal["TLS", "STARTTLS"]

ORGANISATION = "Harbour Works"
ADMINISTRATOR = "office@harbourworks.example"
JOBS_OPEN = 4

_ORGANISATION = (
    "mutation ($input: UpdateOrganisationInput!) { updateOrganisation(input: $input) { errors { message } } }"
)
_USER = "mutation ($input: UpsertUserInput!) { upsertUser(input: $input) { errors { message } } }"
_JOB = "mutation ($input: UpsertJobInput!) { upsertJob(input: $input) { errors { message } } }"
_CANDIDATE = "mutation ($input: UpsertCandidateInput!) { upsertCandidate(input: $input) { errors { message } } }"
_CONNECT = """
mutation ($input: ConnectImapMailboxInput!) {
  connectImapMailbox(input: $input) { mailbox { id } errors { message } }
}
"""


async def open_office(
    postroom: Postroom, recruiters: Sequence[Correspondent], candidates: Sequence[Correspondent]
) -> None:
    """Makes the organisation, and as its applicant tracking system everybody in it.

    The first recruiter may see every candidate, the others those of the jobs they hire for: every second one.
    """
    await postroom.command("bootstrap", "--organisation", ORGANISATION, "--admin", ADMINISTRATOR)
    service = await postroom.command("token", "--service", "--days", "1")
    async with Api(postroom.url, service["token"]) as api:
        domains = sorted({recruiter.domain for recruiter in recruiters})
        await api.change(_ORGANISATION, internalDomains=domains)
        for number, person in enumerate(recruiters):
            level = "HIRING_TEAM" if number else "FULL"
            await api.change(_USER, externalId=_id(person), name=person.name, email=person.address, accessLevel=level)
        everyone = [_id(person) for person in recruiters]
        for number, title in enumerate(JOBS[:JOBS_OPEN]):
            team = everyone[:1] if number % 2 else everyone
            await api.change(_JOB, externalId=f"job-{number}", title=title, hiringTeam=team)
        for number, person in enumerate(candidates):
            await api.change(
                _CANDIDATE,
                externalId=_id(person),
                name=person.name,
                emails=[person.address],
                jobs=[f"job-{number % JOBS_OPEN}"],
            )


async def sign_in(postroom: Postroom, person: Correspondent) -> str:
    """A token of the person's, good for a day."""
    return (await postroom.command("token", "--user", person.address, "--days", "1"))["token"]


async def connect_mailbox(
    api: Api,
    address: str,
    password: str,
    server: MailSandbox,
    *,
    submission: Submission,
) -> str:
    """Connects a mailbox for whose token `api` has, all its old mail included; its id."""
    smtp_port = server.smtp_port if submission == "STARTTLS" else server.smtps_port
    connected: JSONObject = await api.change(
        _CONNECT,
        address=address,
        imap={"host": server.host, "port": server.imaps_port, "security": "TLS", "password": password},
        smtp={"host": server.host, "port": smtp_port, "security": submission, "password": password},
        history={"scope": "ALL"},
    )
    return str(connected["mailbox"]["id"])


def _id(person: Correspondent) -> str:
    """What the applicant tracking system calls them."""
    return person.address.partition("@")[0]
