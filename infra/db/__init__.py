"""The database: one pool, write transactions, and read snapshots."""

from infra.db.database import Database, Snapshot, Statements, Transaction

__all__ = ["Database", "Snapshot", "Statements", "Transaction"]
