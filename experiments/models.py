"""What was shown, and what came of it."""

from django.conf import settings
from django.db import models


class Slate(models.Model):
    """One answer to one request. Its id is what events name as `recommendation_id`."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="slates")
    strategy = models.CharField(max_length=16)
    model_version = models.CharField(max_length=64, blank=True)
    placement = models.CharField(max_length=64, blank=True, help_text="Where in the app it was asked for.")
    track_ids = models.JSONField(help_text="In order.")
    shown_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "slates"

    def __str__(self) -> str:
        return str(self.pk)


class Engagement(models.Model):
    """What came of the slates of a day: sums over listeners, from which rates and their intervals follow.

    moments: of the sums of each listener, what the intervals need (see `experiments.engagement.ratio_metrics`).
    """

    day = models.DateField(help_text="UTC; of the slate, whenever its plays came.")
    strategy = models.CharField(max_length=16)
    model_version = models.CharField(max_length=64, blank=True)
    placement = models.CharField(max_length=64, blank=True)
    slates = models.PositiveBigIntegerField()
    listeners = models.PositiveBigIntegerField()
    impressions = models.PositiveBigIntegerField(
        help_text="Tracks seen: those the app reported; of a slate for which it reported none, all."
    )
    clicks = models.PositiveBigIntegerField()
    plays = models.PositiveBigIntegerField()
    completions = models.PositiveBigIntegerField()
    skips = models.PositiveBigIntegerField()
    listened_ms = models.PositiveBigIntegerField()
    returned_1 = models.PositiveBigIntegerField(help_text="Listeners who came back on the next day.")
    returned_7 = models.PositiveBigIntegerField(help_text="Listeners who came back within seven days.")
    moments = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "engagement"
        ordering = ["-day"]
        verbose_name_plural = "engagement"
        constraints = [
            models.UniqueConstraint(fields=["day", "strategy", "model_version", "placement"], name="engagement_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.strategy} {self.placement}"


class RollUp(models.Model):
    """One run that counted engagement."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.RUNNING)
    detail = models.TextField(blank=True, help_text="What came of it; for a failure, what went wrong.")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "roll_ups"
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
