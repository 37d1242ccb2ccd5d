"""Tables of shown slates and of the engagement with them."""

from django.conf import settings
from django.db import models


class Slate(models.Model):
    """A slate that was shown. Its id is the `recommendation_id` that events refer to."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="slates")
    strategy = models.CharField(max_length=16)
    model_version = models.CharField(max_length=64, blank=True)
    policy = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        help_text="The policy that built it, such as personal@3; empty in slates of earlier releases.",
    )
    placement = models.CharField(max_length=64, blank=True, help_text="Where in the app it was shown.")
    track_ids = models.JSONField(help_text="In the order of the slate.")
    shown_at = models.DateTimeField(db_index=True)
    request = models.JSONField(null=True, blank=True, help_text="What was asked for, to continue the slate.")
    previous = models.UUIDField(null=True, blank=True, help_text="The slate that this one continues.")
    is_counted = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Off if the listener has not consented; the slate has no listener then.",
    )

    class Meta:
        db_table = "slates"

    def __str__(self) -> str:
        return str(self.pk)


class Engagement(models.Model):
    """Totals of one group of a day's slates.

    `moments` holds what the intervals of the rates are computed from; see `experiments.engagement.ratio_metrics`.
    """

    day = models.DateField(help_text="The UTC day of the slates; their plays may be of later days.")
    strategy = models.CharField(max_length=16)
    model_version = models.CharField(max_length=64, blank=True)
    placement = models.CharField(max_length=64, blank=True)
    slates = models.PositiveBigIntegerField()
    listeners = models.PositiveBigIntegerField()
    impressions = models.PositiveBigIntegerField(
        help_text="Tracks seen: those that the app reported, or all tracks of a slate if it reported none."
    )
    clicks = models.PositiveBigIntegerField()
    plays = models.PositiveBigIntegerField()
    completions = models.PositiveBigIntegerField()
    skips = models.PositiveBigIntegerField()
    listened_ms = models.PositiveBigIntegerField()
    returned_1 = models.PositiveBigIntegerField(help_text="Listeners who were active on the next day.")
    returned_7 = models.PositiveBigIntegerField(help_text="Listeners who were active within the next seven days.")
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
    """One run of the roll-up."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.RUNNING)
    detail = models.TextField(blank=True, help_text="The result, or what went wrong.")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "roll_ups"
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
