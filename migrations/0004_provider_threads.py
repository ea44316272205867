"""Copies remember which conversation their mailbox's own server has put them in."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0003_bounces")]

    initial = False

    operations = [
        ops.AddField(
            model_name="MessageCopy",
            name="provider_thread_id",
            field=fields.CharField(null=True, max_length=255),
        ),
        # Only some servers tell: an index of the others' copies would be a price for nothing.
        ops.RunSQL(
            "CREATE INDEX message_copy_provider_thread ON message_copy (mailbox_id, provider_thread_id) "
            "WHERE provider_thread_id IS NOT NULL",
            "DROP INDEX message_copy_provider_thread",
        ),
    ]
