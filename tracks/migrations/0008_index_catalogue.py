"""Write the search documents of existing tracks, albums and artists.

Outside of a transaction, so that the service can go on meanwhile; a migration that was interrupted continues.
"""

from django.db import migrations
from django.db.models import F, Value

from tracks.search.documents import document_fields, word_fields

AT_ONCE = 5_000  # documents of a statement


def write_documents(apps, schema_editor):
    words = apps.get_model("tracks", "SearchWord")
    names = {
        "Artist": ("name", Value("")),
        "Album": ("title", F("artist__name")),
        "Track": ("title", F("artist__name")),
    }
    for kind, (title, artist) in names.items():
        documents = apps.get_model("tracks", f"{kind}Document").objects
        rows = apps.get_model("tracks", kind).objects.order_by("pk").values_list("pk", title, artist)
        last = documents.order_by("pk").values_list("pk", flat=True).last() or 0
        while batch := list(rows.filter(pk__gt=last)[:AT_ONCE]):
            new = [documents.model(pk=pk, **document_fields(*texts)) for pk, *texts in batch]
            fields = word_fields(document.words for document in new)
            words.objects.bulk_create([words(**row) for row in fields], ignore_conflicts=True)
            documents.bulk_create(new, ignore_conflicts=True)
            last = batch[-1][0]


def create_word_index_of_postgresql(apps, schema_editor):
    """Index the words by GIN: after the documents are there, because that is much faster."""
    if schema_editor.connection.vendor == "postgresql":
        for kind in ("track", "album", "artist"):
            schema_editor.execute(
                f"CREATE INDEX IF NOT EXISTS {kind}_document_words ON tracks_{kind}document USING gin (word_vector)"
            )
            schema_editor.execute(f"ANALYZE tracks_{kind}document")


def drop_word_index_of_postgresql(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for kind in ("track", "album", "artist"):
            schema_editor.execute(f"DROP INDEX IF EXISTS {kind}_document_words")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracks", "0007_search_documents")]
    operations = [
        migrations.RunPython(write_documents, migrations.RunPython.noop),
        migrations.RunPython(create_word_index_of_postgresql, drop_word_index_of_postgresql),
    ]
