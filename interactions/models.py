"""Who played, liked or skipped what, when, in which context."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from tracks.models import Track

QUALIFIED_MILESTONE = 75  # percent of a track, from which a play says "liked it"


class Interaction(models.Model):
    """One event of a listener, or an imported total of `plays` plays."""

    class Kind(models.TextChoices):
        PLAY = "play"
        LIKE = "like"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="interactions", db_index=False)
    track = models.ForeignKey(Track, models.CASCADE, related_name="interactions")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PLAY)
    played_at = models.DateTimeField(db_index=True)
    plays = models.PositiveIntegerField(default=1, help_text="1 for an event, n for an imported total.")
    ms_played = models.PositiveIntegerField(null=True, blank=True)
    milestone = models.PositiveSmallIntegerField(default=0, help_text="Percent of the track that was heard.")
    is_completed = models.BooleanField(default=False)
    session_id = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=64, blank=True)
    context = models.CharField(max_length=64, blank=True, help_text="Where it was played from: a playlist, a radio.")
    source = models.CharField(max_length=64, help_text="How the row came here: api, or the import's name.")
    event_id = models.UUIDField(default=uuid.uuid4, help_text="The client's id: sent twice, it is kept once.")

    class Meta:
        db_table = "interactions"
        constraints = [
            models.UniqueConstraint(fields=["user", "event_id"], name="interaction_event_once"),
            models.CheckConstraint(condition=Q(plays__gte=1), name="interaction_plays_positive"),
            models.CheckConstraint(condition=Q(milestone__range=(0, 100)), name="interaction_milestone_percent"),
            models.CheckConstraint(
                condition=Q(ms_played=None) | Q(ms_played__gte=0), name="interaction_ms_not_negative"
            ),
            models.CheckConstraint(condition=Q(kind__in=["play", "like"]), name="interaction_kind_known"),
        ]
        indexes = [
            models.Index(fields=["user", "-played_at"], name="interaction_user_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class PopularTrack(models.Model):
    """The most listened-to tracks, for answers that use no model. Refreshed by imports and training runs."""

    track = models.OneToOneField(Track, models.CASCADE, primary_key=True, related_name="popularity")
    listeners = models.PositiveIntegerField()

    class Meta:
        db_table = "popular_tracks"

    def __str__(self) -> str:
        return f"track {self.pk}: {self.listeners} listeners"
