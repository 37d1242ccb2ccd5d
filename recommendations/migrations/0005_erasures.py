"""Erasures every ten minutes: those that a killed worker or a broker that was away left behind."""

from django.db import migrations


def add(apps, schema_editor):
    every, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=10, period="minutes"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Erasures",
        defaults={
            "task": "recommendations.erase_listeners",
            "interval": every,
            "expire_seconds": 600,  # a message that waited behind a training run has a successor by then
            "description": "Erases listeners who wished it and are not erased yet.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Erasures").delete()


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0004_weekly_tuning")]
    operations = [migrations.RunPython(add, remove)]
