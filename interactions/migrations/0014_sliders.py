from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("interactions", "0013_left_out_in_the_index"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Slider",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("artist", "Artist"), ("tag", "Tag")], max_length=8)),
                ("target_id", models.BigIntegerField(help_text="The id of the artist or tag.")),
                (
                    "value",
                    models.FloatField(
                        default=1.0, help_text="From -1, as little as possible, to 1, as much as possible."
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="sliders",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "sliders",
                "constraints": [
                    models.UniqueConstraint(fields=["user", "kind", "target_id"], name="slider_once"),
                    models.CheckConstraint(condition=Q(kind__in=["artist", "tag"]), name="slider_kind_known"),
                    models.CheckConstraint(
                        condition=Q(value__range=(-1, 1)) & ~Q(value=0), name="slider_value_in_range"
                    ),
                ],
            },
        ),
    ]
