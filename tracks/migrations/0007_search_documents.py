"""Create the tables of search, and their indexes of words."""

from django.db import migrations, models
from django.db.models import CASCADE

KINDS = ("track", "album", "artist")
# Words consist of whatever is neither a space nor a quotation mark.
WORD_CHARACTERS = "!#$%&()*+,-./:;<=>?@[]^_`{|}~\\"


def create_word_index_of_sqlite(apps, schema_editor):
    """Index the words by FTS5. Triggers keep the index up to date, as they would in any index of the database.

    A later migration that makes Django copy one of the tables of documents has to create its triggers again.
    """
    if schema_editor.connection.vendor != "sqlite":
        return
    for kind in KINDS:
        table, key, index = f"tracks_{kind}document", f"{kind}_id", f"{kind}_words"
        add = f"INSERT INTO {index} (rowid, words) VALUES (new.{key}, new.words)"
        remove = f"INSERT INTO {index} ({index}, rowid, words) VALUES ('delete', old.{key}, old.words)"
        schema_editor.execute(
            f"CREATE VIRTUAL TABLE {index} USING fts5(words, content={table}, content_rowid={key}, detail=none, "
            f"columnsize=0, prefix='1 2 3', tokenize=\"ascii tokenchars '{WORD_CHARACTERS}'\")"
        )
        schema_editor.execute(f"CREATE TRIGGER {index}_insert AFTER INSERT ON {table} BEGIN {add}; END")
        schema_editor.execute(f"CREATE TRIGGER {index}_delete AFTER DELETE ON {table} BEGIN {remove}; END")
        schema_editor.execute(
            f"CREATE TRIGGER {index}_update AFTER UPDATE ON {table} WHEN old.words <> new.words "
            f"BEGIN {remove}; {add}; END"
        )


def add_vector_of_postgresql(apps, schema_editor):
    """Add the words as a `tsvector`, which Django does not know, so that scans need not compute it."""
    if schema_editor.connection.vendor == "postgresql":
        for kind in KINDS:
            schema_editor.execute(
                f"ALTER TABLE tracks_{kind}document ADD COLUMN word_vector tsvector "
                "GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED"
            )


def drop_word_index_of_sqlite(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for kind in KINDS:
            schema_editor.execute(f"DROP TABLE {kind}_words")


def document(kind):
    return migrations.CreateModel(
        f"{kind}Document",
        [
            ("title", models.CharField(max_length=255)),
            ("artist_name", models.CharField(max_length=255, blank=True)),
            ("words", models.TextField(blank=True, help_text="Title and artist, word by word.")),
            (
                kind.lower(),
                models.OneToOneField(
                    f"tracks.{kind}", CASCADE, primary_key=True, related_name="document", serialize=False
                ),
            ),
        ],
        {
            "indexes": [
                models.Index(fields=["title"], name=f"{kind.lower()}_document_title", opclasses=["varchar_pattern_ops"])
            ]
        },
    )


class Migration(migrations.Migration):
    dependencies = [("tracks", "0006_release_dates_and_vectors")]
    operations = [
        document("Track"),
        document("Album"),
        document("Artist"),
        migrations.CreateModel(
            "SearchWord",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("word", models.CharField(max_length=64)),
                ("head_key", models.CharField(max_length=5)),
                ("tail_key", models.CharField(max_length=5)),
            ],
            {
                "constraints": [models.UniqueConstraint(fields=["word"], name="search_word_unique")],
                "indexes": [
                    models.Index(fields=["head_key"], name="search_word_head"),
                    models.Index(fields=["tail_key"], name="search_word_tail"),
                ],
            },
        ),
        migrations.RunPython(add_vector_of_postgresql, migrations.RunPython.noop),
        migrations.RunPython(create_word_index_of_sqlite, drop_word_index_of_sqlite),
    ]
