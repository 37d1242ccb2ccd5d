from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("interactions", "0003_waiting_listens"),
        ("tracks", "0004_revisions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(  # before the other goes: a history is never looked up without one
            model_name="interaction",
            index=models.Index(
                fields=["user", "-played_at"],
                include=("track", "kind", "is_skip", "plays", "milestone", "is_completed"),
                name="interaction_of_listener",
            ),
        ),
        migrations.RemoveIndex(model_name="interaction", name="interaction_user_recent"),
    ]
