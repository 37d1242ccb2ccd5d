import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("interactions", "0010_numbers_of_history_imports"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PlayingNow",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="playing_now",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "track_metadata",
                    models.JSONField(help_text="The names and identifiers of the track, as ListenBrainz writes them."),
                ),
                (
                    "expires_at",
                    models.DateTimeField(
                        db_index=True, help_text="When the track ends, or ten minutes after the report."
                    ),
                ),
            ],
            options={"db_table": "playing_now"},
        ),
        migrations.CreateModel(
            name="LatestImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("service", models.CharField(help_text="The other service, such as lastfm.", max_length=64)),
                ("listened_at", models.DateTimeField(help_text="The time of the newest listen that was copied.")),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="latest_imports",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "latest_imports",
                "constraints": [models.UniqueConstraint(fields=("user", "service"), name="latest_import_once")],
            },
        ),
    ]
