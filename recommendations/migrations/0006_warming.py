"""Rankings of listeners who play are computed anew every half minute; afterwards the schedule is the operator's."""

from django.db import migrations


def add(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=30, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Rankings ahead",
        defaults={
            "task": "recommendations.warm_changed",
            "interval": interval,
            "expire_seconds": 30,  # a message that waited is not needed: its successor does the same
            "description": "Computes ahead what listeners will ask for whose plays have changed.",
        },
    )


def remove(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name="Rankings ahead").delete()


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0005_erasures"), ("django_celery_beat", "0019_alter_periodictasks_options")]
    operations = [migrations.RunPython(add, remove)]
