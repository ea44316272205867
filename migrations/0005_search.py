"""The words of messages, by which threads are found; those of the messages that are there already, too."""

from uuid import UUID

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import TSVectorField
from tortoise.migrations import operations as ops

from domain.search_index import BODY_LENGTH, search_mark, search_vector

BATCH = 500
ACCENTS = "".join(map(chr, range(0x300, 0x370)))
PLAIN_NAME = f"translate(lower(normalize(name, NFKD)), 'øłđħŧ\u0131ðς{ACCENTS}', 'oldhtidσ')"
for letter, spelt in (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("þ", "th")):
    PLAIN_NAME = f"replace({PLAIN_NAME}, '{letter}', '{spelt}')"


async def index_what_is_there(apps, schema_editor):
    last = UUID(int=0)
    while True:
        rows = await schema_editor.client.execute_query_dict(
            "SELECT id, organisation_id, thread_id, subject, people, left(text, $2) AS text FROM message "
            "WHERE id > $1 ORDER BY id LIMIT $3",
            [last, BODY_LENGTH, BATCH],
        )
        if not rows:
            return
        await schema_editor.client.execute_query(
            "INSERT INTO message_search (message_id, thread_id, vector) "
            "SELECT n.message_id, n.thread_id, n.vector::tsvector FROM unnest($1::uuid[], $2::uuid[], $3::text[]) "
            "AS n(message_id, thread_id, vector)",
            [
                [row["id"] for row in rows],
                [row["thread_id"] for row in rows],
                [
                    search_vector(
                        search_mark(row["organisation_id"]),
                        subject=row["subject"],
                        people=row["people"],
                        text=row["text"],
                    )
                    for row in rows
                ],
            ],
        )
        last = rows[-1]["id"]


class Migration(migrations.Migration):
    dependencies = [("models", "0004_provider_threads")]

    operations = [
        # People are found by parts of their names, however these are accented: `domain.search_words.plain_name`.
        ops.RunSQL(
            [
                f"ALTER TABLE {table} ADD COLUMN sought text NOT NULL GENERATED ALWAYS AS ({PLAIN_NAME}) STORED"
                for table in ("user_account", "candidate")
            ],
            [f"ALTER TABLE {table} DROP COLUMN sought" for table in ("user_account", "candidate")],
        ),
        ops.CreateModel(
            name="MessageSearch",
            fields=[
                ("message_id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("thread_id", fields.UUIDField(db_index=True)),
                ("vector", TSVectorField()),
            ],
            options={
                "table": "message_search",
                "app": "models",
                "pk_attr": "message_id",
                "table_description": "The words of a message, by which its thread is found; nothing that its readers are not all shown.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(
            "ALTER TABLE message_search ADD CONSTRAINT message_search_message_id_fkey "
            "FOREIGN KEY (message_id) REFERENCES message (id) ON DELETE CASCADE",
            "ALTER TABLE message_search DROP CONSTRAINT message_search_message_id_fkey",
        ),
        # A search looks into many rows and at every word of each: they lie in the row itself, as they are.
        ops.RunSQL(
            [
                "ALTER TABLE message_search ALTER COLUMN vector SET STORAGE EXTERNAL",
                "ALTER TABLE message_search SET (toast_tuple_target = 8160)",
            ],
            ops.RunSQL.noop,
        ),
        ops.RunSQL(
            "CREATE INDEX message_search_vector ON message_search USING gin (vector)",
            "DROP INDEX message_search_vector",
        ),
        # After the index: to make it of many messages at once would be one statement of minutes.
        ops.RunPython(index_what_is_there, ops.RunPython.noop),
        # Threads merge and messages are put aside: wherever that is written, the words follow.
        ops.RunSQL(
            """
            CREATE FUNCTION message_search_follows() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN
              UPDATE message_search SET thread_id = NEW.thread_id WHERE message_id = NEW.id;
              RETURN NULL;
            END $$
            """,
            "DROP FUNCTION message_search_follows",
        ),
        ops.RunSQL(
            """
            CREATE TRIGGER message_search_follows AFTER UPDATE OF thread_id ON message FOR EACH ROW
            WHEN (OLD.thread_id <> NEW.thread_id) EXECUTE FUNCTION message_search_follows()
            """,
            "DROP TRIGGER message_search_follows ON message",
        ),
    ]
