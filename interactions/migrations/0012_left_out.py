from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

LEARN = models.BooleanField(
    db_default=True, default=True, help_text="Off if the client said that recommenders must not learn from it."
)
SHUFFLED = models.BooleanField(
    db_default=False, default=False, help_text="The player chose the track at random, so its place says nothing."
)
LEFT_OUT = models.BooleanField(
    db_default=False,
    default=False,
    editable=False,
    help_text="Recommenders do not learn from it, because the client or an exclusion says so. It is derived.",
)


def add_column(name, default, field):
    # Both databases add a column with a constant default without touching the rows, whereas Django copies the whole
    # table on SQLite.
    return migrations.RunSQL(
        f"ALTER TABLE interactions ADD COLUMN {name} bool NOT NULL DEFAULT {default}",
        f"ALTER TABLE interactions DROP COLUMN {name}",
        [migrations.AddField("interaction", name, field)],
    )


class Migration(migrations.Migration):
    dependencies = [
        ("interactions", "0011_playing_now"),
        ("tracks", "0004_revisions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        add_column("learn", "true", LEARN),
        add_column("shuffled", "false", SHUFFLED),
        add_column("left_out", "false", LEFT_OUT),
        migrations.CreateModel(
            name="Exclusion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("track", "Track"),
                            ("playlist", "Playlist"),
                            ("session", "Session"),
                            ("period", "Period"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The `context` of a playlist's events, or the `session_id` of a session's.",
                        max_length=64,
                    ),
                ),
                ("since", models.DateTimeField(blank=True, help_text="Of a period: its begin.", null=True)),
                (
                    "until",
                    models.DateTimeField(
                        blank=True, help_text="Of a period: its end; empty while it goes on.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "track",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.deletion.CASCADE,
                        related_name="exclusions",
                        to="tracks.track",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="exclusions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "exclusions",
                "constraints": [
                    models.UniqueConstraint(fields=["user", "track"], name="exclusion_of_track_once"),
                    models.UniqueConstraint(
                        fields=["user", "kind", "name"], condition=~Q(name=""), name="exclusion_of_name_once"
                    ),
                    models.UniqueConstraint(fields=["user", "since", "until"], name="exclusion_of_period_once"),
                    models.CheckConstraint(
                        condition=Q(kind="track", track__isnull=False, name="", since=None, until=None)
                        | Q(kind__in=["playlist", "session"], track=None, since=None, until=None) & ~Q(name="")
                        | Q(kind="period", track=None, name="", since__isnull=False)
                        & (Q(until=None) | Q(until__gt=F("since"))),
                        name="exclusion_has_one_target",
                    ),
                ],
            },
        ),
    ]
