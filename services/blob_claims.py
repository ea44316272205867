"""How do files and the rows that name them stay together, when either can be lost half-way?

Bytes are claimed before they are written, and the claim is settled in the transaction that stores the rows naming
them. What is left claimed (a worker died, the message turned out to be nobody's, mail was erased) is thrown away when
its time has come. Bytes are known by their content, so several messages may share them: nothing is thrown away that a
row names, and nothing is written while it is being thrown away.
"""

from collections.abc import Collection
from datetime import timedelta

from domain import clock
from domain.errors import AppError, Retry
from infra.db import Transaction
from services.deps import Deps

GRACE = timedelta(hours=1)
"""Much longer than the longest batch takes from its first byte to its commit."""
_AT_ONCE = 1_000

_CLAIM = """
INSERT INTO blob_claim (key, due_at) SELECT unnest($1::text[]), $2
    ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at WHERE NOT blob_claim.is_going
"""
_GOING = "SELECT EXISTS (SELECT FROM blob_claim WHERE key = ANY($1) AND is_going)"
# In the order in which `_CLAIM` takes them: the same files may just be claimed for further messages.
_SETTLE = """
DELETE FROM blob_claim WHERE key IN (SELECT key FROM blob_claim WHERE key = ANY($1) ORDER BY key FOR UPDATE)
"""
_ABANDON = "INSERT INTO blob_claim (key, due_at) SELECT unnest($1::text[]), $2 ON CONFLICT (key) DO NOTHING"
_IS_NAMED = """
(EXISTS (SELECT FROM message_copy c WHERE c.source_key = key)
 OR EXISTS (SELECT FROM attachment a WHERE a.blob_key = key))
"""
_FORGET_NAMED = f"DELETE FROM blob_claim WHERE due_at <= $1 AND NOT is_going AND {_IS_NAMED}"
_START = f"""
UPDATE blob_claim SET is_going = true WHERE key IN (
    SELECT key FROM blob_claim WHERE due_at <= $1 AND NOT {_IS_NAMED} ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING key
"""


class BlobsGoing(AppError):
    """The same bytes are being thrown away at this moment; a little later they can be written anew."""

    retry = Retry.LATER


async def claim(deps: Deps, keys: Collection[str]) -> None:
    """To be called before bytes are written.

    Raises:
        BlobsGoing: try again a little later.
    """
    if not keys:
        return
    # Not durable: what is recorded next takes it to the disk, and a claim that is lost with all after it harms little.
    async with deps.db.transaction(durable=False) as tx:
        await tx.execute(_CLAIM, sorted(keys), clock.now() + GRACE)
        if await tx.fetch_value(_GOING, list(keys)):
            raise BlobsGoing("These files are just being removed.")


async def settle(tx: Transaction, keys: Collection[str]) -> None:
    """In the transaction that stores rows naming these bytes."""
    await tx.execute(_SETTLE, list(keys))


async def abandon(tx: Transaction, keys: Collection[str]) -> None:
    """In the transaction that deletes rows naming these bytes; `sweep` then throws away what nothing names any more."""
    await tx.execute(_ABANDON, sorted(keys), clock.now())


async def sweep(deps: Deps) -> int:
    """Throws away what is due; how many. Safe to run twice, beside itself, and to kill anywhere."""
    swept = 0
    while True:
        now = clock.now()
        async with deps.db.transaction() as tx:
            await tx.execute(_FORGET_NAMED, now)
            keys = [row["key"] for row in await tx.fetch(_START, now, _AT_ONCE)]
        if not keys:
            return swept
        await deps.blobs.delete(keys)
        async with deps.db.transaction() as tx:
            await settle(tx, keys)
        swept += len(keys)
