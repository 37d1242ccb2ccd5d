"""Who may ask: listeners (rows of AUTH_USER_MODEL) and service keys."""

import hashlib
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q


class Scope(models.TextChoices):
    RECOMMEND = "recommend", "read recommendations of any listener"
    EVENTS = "events", "report plays of any listener"
    TRACKS = "tracks", "read the catalogue"
    METRICS = "metrics", "read metrics and engagement"
    LISTENERS = "listeners", "change, export and erase any listener"


class User(AbstractUser):
    """A listener; staff are listeners who may open the admin."""

    external_id = models.CharField(
        max_length=128, unique=True, null=True, blank=True, help_text="The listener's id in the service it came from."
    )
    consent = models.BooleanField(
        default=True, help_text="Off: no event of theirs is kept, and they are recommended what is popular."
    )
    market = models.CharField(
        max_length=2,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{2}$", "two capital letters, as in ISO 3166-1")],
        help_text="Where they listen, as DE: tracks not offered there are left out. Empty: not known.",
    )
    allow_explicit = models.BooleanField(default=True, help_text="Off: tracks marked as explicit are left out.")
    revision = models.BigIntegerField(
        default=0, editable=False, help_text="Another number whenever what they did or like changes."
    )

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new password signs out everywhere, whoever sets it: the listener, the admin or a command."""
        changed = getattr(self, "_password", None) is not None and not self._state.adding
        super().save(*args, **kwargs)
        if changed:
            self.sign_ins.all().delete()


class SignIn(models.Model):
    """A phone that is signed in. Its tokens are good as long as there is this row: signing out deletes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    refresh_id = models.CharField(max_length=32, help_text="The `jti` of the one refresh token that works.")
    created_at = models.DateTimeField(auto_now_add=True)
    refreshed_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "sign_ins"

    def __str__(self) -> str:
        return f"listener {self.user_id}, since {self.created_at:%Y-%m-%d}"


class ServiceKey(models.Model):
    """A back end's key. Only its SHA-256 is kept: the key is 256 random bits, so a slow hash would add nothing."""

    name = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12, unique=True, help_text="The key's beginning, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True, help_text="The key before this one works until then.")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @staticmethod
    def digest_of(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()


class ListenToken(models.Model):
    """A listener's token for clients that scrobble. Only its SHA-256 is kept: it is a random UUID."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="listen_tokens")
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=8, help_text="The token's beginning, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "listen_tokens"

    def __str__(self) -> str:
        return f"{self.prefix}… of listener {self.user_id}"


class Erasure(models.Model):
    """A listener's wish to be forgotten, and what became of it: no name, no listening, a number that nobody has now."""

    receipt = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user_id = models.BigIntegerField(help_text="The number the listener had; it is not given again.")
    external_digest = models.CharField(
        max_length=64,
        blank=True,
        help_text="HMAC of their id in the service they came from: an import does not bring them back.",
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    erased = models.JSONField(default=dict, help_text="Rows by table.")

    class Meta:
        db_table = "erasures"
        ordering = ["-requested_at"]
        constraints = [models.UniqueConstraint(fields=["user_id"], name="erasure_once")]
        indexes = [
            models.Index(fields=["external_digest"], name="erasure_by_outside_id", condition=~Q(external_digest=""))
        ]

    def __str__(self) -> str:
        return str(self.receipt)
