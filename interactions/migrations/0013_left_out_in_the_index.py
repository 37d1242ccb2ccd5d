from django.db import migrations, models

NAME = "interaction_of_listener"
COLUMNS = "track_id, kind, is_skip, plays, milestone, is_completed"


def rebuild_index(schema_editor, included):
    """Replace the index without blocking writers. SQLite's has no included columns, so it stays as it is."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}_new")  # of an attempt that was interrupted
    schema_editor.execute(
        f"CREATE INDEX CONCURRENTLY {NAME}_new ON interactions (user_id, played_at DESC) INCLUDE ({included})"
    )
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
    schema_editor.execute(f"ALTER INDEX {NAME}_new RENAME TO {NAME}")


def include_left_out(apps, schema_editor):
    rebuild_index(schema_editor, f"{COLUMNS}, left_out")


def leave_it_out(apps, schema_editor):
    rebuild_index(schema_editor, COLUMNS)


class Migration(migrations.Migration):
    atomic = False  # an index is not built concurrently in a transaction

    dependencies = [("interactions", "0012_left_out")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(include_left_out, leave_it_out)],
            [
                migrations.RemoveIndex("interaction", NAME),
                migrations.AddIndex(
                    "interaction",
                    models.Index(
                        fields=["user", "-played_at"],
                        include=["track", "kind", "is_skip", "plays", "milestone", "is_completed", "left_out"],
                        name=NAME,
                    ),
                ),
            ],
        ),
    ]
