"""Every five minutes, killed and missed training runs are noticed; afterwards the schedule is the operator's."""

from django.db import migrations


def add(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=5, period="minutes"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Training watch",
        defaults={
            "task": "recommendations.watch_training",
            "interval": interval,
            "expire_seconds": 300,
            "description": "Raises alarms for training runs that were killed or missed, and makes up for the latter.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Training watch").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0007_installation"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(add, remove)]
