from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracks", "0009_new_releases")]
    operations = [
        migrations.RemoveIndex("track", "track_created"),
        migrations.AddIndex(
            "track",
            models.Index(fields=["created_at", "id"], name="track_undated", condition=models.Q(released_on=None)),
        ),
    ]
