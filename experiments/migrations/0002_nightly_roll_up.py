"""The roll-up at 02:15 UTC, before the nightly training; afterwards the schedule is the operator's."""

from django.db import migrations


def add(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="15", hour="2", day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Nightly engagement",
        defaults={
            "task": "experiments.engagement.roll_up",
            "crontab": crontab,
            "expire_seconds": 20 * 3600,  # a message that waited all day dies before its successor is born
            "description": "Counts what came of what was shown, and removes what is older than it is kept.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Nightly engagement").delete()


class Migration(migrations.Migration):
    dependencies = [("experiments", "0001_initial"), ("django_celery_beat", "0019_alter_periodictasks_options")]
    operations = [migrations.RunPython(add, remove)]
