"""What the models cannot say: one connection per address, one primary mailbox, and an audit log nobody rewrites."""

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0001_spine")]

    operations = [
        # R2.6: a mailbox is connected once on this server, whatever the organisation. It is known by where it is and
        # who logs in: an address is only a claim, and must neither block its true owner nor tell that they are here.
        ops.RunSQL(
            "CREATE UNIQUE INDEX mailbox_connected_once ON mailbox (account) WHERE disconnected_at IS NULL",
            "DROP INDEX mailbox_connected_once",
        ),
        ops.RunSQL(
            "CREATE UNIQUE INDEX mailbox_address_once ON mailbox (organisation_id, canonical) "
            "WHERE is_proven AND disconnected_at IS NULL",
            "DROP INDEX mailbox_address_once",
        ),
        ops.RunSQL(
            "CREATE UNIQUE INDEX mailbox_one_primary ON mailbox (owner_id) WHERE is_primary AND disconnected_at IS NULL",
            "DROP INDEX mailbox_one_primary",
        ),
        ops.RunSQL(
            "CREATE INDEX mailbox_search_due ON mailbox_search (mailbox_id, due_at) WHERE due_at IS NOT NULL",
            "DROP INDEX mailbox_search_due",
        ),
        # R3.7: an entry of the audit log is never changed; it goes only with its organisation.
        ops.RunSQL(
            """
            CREATE FUNCTION audit_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
            """,
            "DROP FUNCTION audit_entry_is_final",
        ),
        ops.RunSQL(
            """
            CREATE TRIGGER audit_entry_is_final BEFORE UPDATE OR TRUNCATE ON audit_entry
            FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_final()
            """,
            "DROP TRIGGER audit_entry_is_final ON audit_entry",
        ),
        ops.RunSQL(
            """
            CREATE TRIGGER audit_entry_is_kept BEFORE DELETE ON audit_entry FOR EACH ROW
            WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION audit_entry_is_final()
            """,
            "DROP TRIGGER audit_entry_is_kept ON audit_entry",
        ),
    ]
