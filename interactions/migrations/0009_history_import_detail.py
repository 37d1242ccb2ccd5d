from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("interactions", "0008_event_clocks")]

    operations = [
        migrations.AlterField(
            model_name="historyimport",
            name="detail",
            field=models.TextField(
                blank=True,
                help_text="The error, or each reason for which rows or files were not imported, with its number.",
            ),
        ),
    ]
