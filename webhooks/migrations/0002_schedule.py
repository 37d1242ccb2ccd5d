"""Every minute, webhook deliveries that are due are sent; afterwards the schedule is the operator's."""

from django.db import migrations


def add(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=1, period="minutes"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Webhooks",
        defaults={
            "task": "webhooks.send_deliveries",
            "interval": interval,
            "expire_seconds": 60,  # a message that waited behind another task has a successor by then
            "description": "Repeats webhook deliveries that failed, and sends those that a killed worker left behind.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Webhooks").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(add, remove)]
