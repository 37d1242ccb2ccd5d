from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracks", "0008_index_catalogue")]
    operations = [
        migrations.AddIndex("track", models.Index(fields=["created_at", "id"], name="track_created")),
    ]
