from tortoise import migrations
from tortoise.migrations import operations as ops
from orjson import loads
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index


class Migration(migrations.Migration):
    dependencies = [("models", "0002_invariants")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Bounce",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "message",
                    fields.OneToOneField(
                        "models.Message",
                        source_field="message_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "organisation",
                    fields.ForeignKeyField(
                        "models.Organisation",
                        source_field="organisation_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("about", fields.TextField(null=True, unique=False)),
                ("about_key", fields.BinaryField(null=True)),
                ("is_complaint", fields.BooleanField()),
                ("failures", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("shown", fields.JSONField(db_default=[], encoder=JSON_DUMPS, decoder=loads)),
                ("is_open", fields.BooleanField(db_default=False)),
                ("told", ArrayField(db_default=[], element_type="UUID")),
            ],
            options={
                "table": "bounce",
                "app": "models",
                "indexes": [Index(fields=["organisation_id", "about_key"])],
                "pk_attr": "id",
                "table_description": "What a message reports of one that was sent before: that it did not arrive, is late, or was complained of.",
            },
            bases=["Link"],
        ),
    ]
