"""Tuning on Sundays at 04:30 UTC, after the nightly training; afterwards the schedule is the operator's."""

from django.db import migrations


def add(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="30", hour="4", day_of_week="0", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Weekly tuning",
        defaults={
            "task": "recommendations.tune_model",
            "crontab": crontab,
            "expire_seconds": 6 * 24 * 3600,  # a message that waited all week dies before its successor is born
            "description": "Searches for a better recipe; what the gate lets pass is used every night from then on.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Weekly tuning").delete()


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0003_tuning")]
    operations = [migrations.RunPython(add, remove)]
