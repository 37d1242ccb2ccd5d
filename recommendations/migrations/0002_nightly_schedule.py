"""The nightly training at 03:00 UTC, once; afterwards the schedule is the operator's, in the admin."""

from django.db import migrations


def add(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="0", hour="3", day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Nightly training",
        defaults={
            "task": "recommendations.train_model",
            "crontab": crontab,
            "expire_seconds": 23 * 3600,  # a message that waited all day dies before its successor is born
            "description": "Learns from all plays and publishes a new version.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Nightly training").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("recommendations", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(add, remove)]
