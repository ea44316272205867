"""What does reading cost without GraphQL? Two endpoints written by hand, one for each query that is measured.

Starlette, asyncpg, orjson; the same token, the same rights, the same tables and summaries, the same answers as the API
gives to `Inbox` and `Conversation` (bench.inbox compares them). It is given `DATABASE_URL`, `POSTROOM_JWT_SECRET`, and
the number of an inherited listening socket as its argument.
"""

import base64
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain import clock

POOL = 10
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)

_VIEWER = """
SELECT u.id, u.organisation_id, u.access_level,
       array(SELECT job_id FROM job_member WHERE user_id = u.id) AS job_ids,
       array(SELECT mailbox_id FROM mailbox_viewer WHERE user_id = u.id) AS mailbox_ids
  FROM user_account u WHERE u.organisation_id = $1 AND u.external_id = $2 AND u.is_active
"""
_SEEN = """(
 SELECT coalesce(jsonb_agg(jsonb_build_object('id', 'candidate_' || replace(c.id::text, '-', ''), 'name', c.name)
                           ORDER BY c.id), '[]')
   FROM thread_candidate tc JOIN candidate c ON c.id = tc.candidate_id
  WHERE tc.thread_id = t.id AND c.organisation_id = $1 AND ($4 OR EXISTS (
        SELECT 1 FROM application a WHERE a.candidate_id = c.id AND a.job_id = ANY($2::uuid[])))) AS candidates"""
_INBOX = f"""
WITH walked AS (
  SELECT DISTINCT w.last_message_at, w.thread_id FROM unnest($2::uuid[]) AS p(principal) CROSS JOIN LATERAL (
    SELECT r.last_message_at, r.thread_id FROM thread_reader r WHERE r.principal = p.principal
     ORDER BY r.last_message_at DESC, r.thread_id DESC LIMIT 51) w
   ORDER BY w.last_message_at DESC, w.thread_id DESC LIMIT 51)
SELECT t.id, t.subject, t.snippet, t.participants, t.last_message, t.last_message_at, {_SEEN},
       coalesce(t.last_live_inbound_at > coalesce(
         (SELECT r.read_until FROM thread_read r WHERE r.user_id = $3 AND r.thread_id = t.id),
         (SELECT u.reads_since FROM user_account u WHERE u.id = $3)), false) AS is_unread
  FROM walked w JOIN thread t ON t.id = w.thread_id
 WHERE t.organisation_id = $1 AND t.readers && $2::uuid[]
 ORDER BY w.last_message_at DESC, w.thread_id DESC
"""
_THREAD = f"""
SELECT t.id, t.subject, t.visibility, t.participants, {_SEEN}, $3::uuid AS viewer
  FROM thread t WHERE t.id = $5 AND t.organisation_id = $1 AND t.readers && $2::uuid[]
"""
_MESSAGES = """
SELECT m.id, m.direction, m.people -> 'from' AS sender, m.people -> 'to' AS recipients, m.sent_at, m.snippet,
       m.reply_text, m.text
  FROM message m WHERE m.thread_id = $1 ORDER BY m.sent_at, m.id LIMIT 20
"""
_FILES = """
SELECT message_id, id, filename, content_type, size_bytes FROM attachment
 WHERE message_id = ANY($1::uuid[]) ORDER BY message_id, position
"""


class Floor:
    """The endpoints on a pool of connections."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)
        self.pool: asyncpg.Pool

    async def inbox(self, request: Request) -> Response:
        viewer = await self._viewer(request)
        if viewer is None:
            return Response(status_code=401)
        rows = await self.pool.fetch(_INBOX, *viewer)
        has_next, rows = len(rows) > 50, rows[:50]
        edges = [
            {
                "cursor": _cursor(row["last_message_at"], row["id"]),
                "node": {
                    "id": "thread_" + row["id"].hex,
                    "subject": row["subject"],
                    "snippet": row["snippet"],
                    "isUnread": row["is_unread"],
                    "lastMessageAt": _moment(row["last_message_at"]),
                    "candidates": row["candidates"],
                    "participants": _people(row["participants"]),
                    "lastMessage": {
                        "from": _person(row["last_message"]["from"]),
                        "sentAt": row["last_message"]["sent_at"].replace("+00:00", "Z"),
                        "snippet": row["last_message"]["snippet"],
                    },
                },
            }
            for row in rows
        ]
        place = {"hasNextPage": has_next, "endCursor": edges[-1]["cursor"] if edges else None}
        return _answer({"threads": {"edges": edges, "pageInfo": place}})

    async def conversation(self, request: Request) -> Response:
        viewer = await self._viewer(request)
        if viewer is None:
            return Response(status_code=401)
        thread = await self.pool.fetchrow(_THREAD, *viewer, UUID(request.path_params["id"].removeprefix("thread_")))
        if thread is None:
            return _answer({"thread": None})
        messages = await self.pool.fetch(_MESSAGES, thread["id"])
        files: dict[UUID, list[dict[str, Any]]] = {row["id"]: [] for row in messages}
        for row in await self.pool.fetch(_FILES, list(files)):
            files[row["message_id"]].append(
                {
                    "id": "attachment_" + row["id"].hex,
                    "filename": row["filename"],
                    "contentType": row["content_type"],
                    "size": row["size_bytes"],
                }
            )
        nodes = [
            {
                "node": {
                    "id": "message_" + row["id"].hex,
                    "direction": row["direction"],
                    "from": _person(row["sender"][0]) if row["sender"] else None,
                    "to": _people(row["recipients"]),
                    "sentAt": _moment(row["sent_at"]),
                    "snippet": row["snippet"],
                    "replyText": row["reply_text"],
                    "text": row["text"],
                    "attachments": files[row["id"]],
                }
            }
            for row in messages
        ]
        found = {
            "id": "thread_" + thread["id"].hex,
            "subject": thread["subject"],
            "visibility": thread["visibility"],
            "candidates": thread["candidates"],
            "participants": _people(thread["participants"]),
            "messages": {"edges": nodes},
        }
        return _answer({"thread": found})

    async def _viewer(self, request: Request) -> tuple[UUID, list[UUID], UUID, bool] | None:
        """Organisation, principals, user, and whether they see every candidate; None without a valid token."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError):
            return None
        if claims["exp"] <= clock.now().timestamp():
            return None
        user = await self.pool.fetchrow(_VIEWER, UUID(claims["org"].rpartition("_")[2]), claims["sub"])
        if user is None:
            return None
        sees_all = user["access_level"] in ("ADMIN", "FULL")
        groups = [user["organisation_id"]] if sees_all else user["job_ids"]
        return user["organisation_id"], [user["id"], *groups, *user["mailbox_ids"]], user["id"], sees_all


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps({"data": content}), media_type="application/json")


def _moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _cursor(at: datetime, row_id: UUID) -> str:
    return base64.urlsafe_b64encode(((at - _EPOCH) // _MICROSECOND).to_bytes(8, "big") + row_id.bytes).decode()


def _person(entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "address": entry["address"]}


def _people(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": entry["name"], "address": entry["address"]} for entry in entries]


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda wire: orjson.loads(wire[1:]),
    )


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """Without session state, and so without a round trip to reset it, as Postroom's own."""

    def get_reset_query(self) -> str:
        return ""


def main() -> None:
    floor = Floor(os.environ["POSTROOM_JWT_SECRET"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001 - Starlette's signature
        async with asyncpg.create_pool(
            os.environ["DATABASE_URL"], max_size=POOL, init=_prepare, connection_class=_Connection
        ) as floor.pool:
            yield

    routes = [Route("/inbox", floor.inbox), Route("/threads/{id}", floor.conversation)]
    app = Starlette(routes=routes, lifespan=lifespan)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
