"""The principals: listeners (rows of AUTH_USER_MODEL), with their sign-ins and tokens, and service keys."""

import uuid

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
    LISTENERS = "listeners", "create, change, export and erase any listener"
    CATALOGUE = "catalogue", "write the catalogue"
    TOKENS = "tokens", "mint tokens of any listener"
    TRAINING = "training", "start and watch training runs"


class User(AbstractUser):
    """A listener. Staff are listeners who may use the admin."""

    external_id = models.CharField(
        max_length=128,
        unique=True,
        null=True,
        blank=True,
        help_text="The app's own id of the listener.",
    )
    consent = models.BooleanField(
        default=True, help_text="Off: no events are stored, and recommendations are popular tracks."
    )
    market = models.CharField(
        max_length=2,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{2}$", "two capital letters, as in ISO 3166-1")],
        help_text="The listener's country, as DE. Tracks not available there are left out. Empty: unknown.",
    )
    allow_explicit = models.BooleanField(default=True, help_text="Off: explicit tracks are left out.")
    display_name = models.CharField(
        max_length=128, blank=True, help_text="What the app calls the listener; shown in the lists of the admin."
    )
    revision = models.BigIntegerField(
        default=0, editable=False, help_text="A new random number whenever interactions or preferences change."
    )


class SignIn(models.Model):
    """A device that is signed in. Its tokens are valid while this row exists; signing out deletes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    refresh_id = models.CharField(max_length=32, help_text="The `jti` of the only refresh token that is valid.")
    created_at = models.DateTimeField(auto_now_add=True)
    refreshed_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "sign_ins"

    def __str__(self) -> str:
        return f"listener {self.user_id}, since {self.created_at:%Y-%m-%d}"


class Device(models.Model):
    """A phone that listens without an account, found by the SHA-256 of its device id, a secret of the phone."""

    digest = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="devices",
        help_text="The device's anonymous listener; after a merge, the account it was merged into.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    merged_at = models.DateTimeField(null=True, blank=True, help_text="Empty while the listener is anonymous.")

    class Meta:
        db_table = "devices"

    def __str__(self) -> str:
        return f"device of listener {self.user_id}"


class ServiceKey(models.Model):
    """A back end's key, stored as its SHA-256.

    The key is 256 random bits, so that a slow password hash would add nothing.
    """

    name = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12, unique=True, help_text="The first characters of the key, to recognise it.")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Accurate to the minute.")
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True, help_text="The previous key is valid until then.")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class ListenToken(models.Model):
    """A listener's token for clients that scrobble, stored as its SHA-256. The token is a random UUID."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="listen_tokens")
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=8, help_text="The first characters of the token, to recognise it.")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "listen_tokens"

    def __str__(self) -> str:
        return f"{self.prefix}… of listener {self.user_id}"


class Erasure(models.Model):
    """A listener's request to be erased, and its progress.

    It outlasts the listener, and holds no personal data but an id that is never reused.
    """

    receipt = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user_id = models.BigIntegerField(help_text="The id that the listener had. It is not reused.")
    external_digest = models.CharField(
        max_length=64,
        blank=True,
        help_text="HMAC of the listener's external id, so that an import does not recreate them.",
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    erased = models.JSONField(default=dict, help_text="Erased rows by table.")

    class Meta:
        db_table = "erasures"
        ordering = ["-requested_at"]
        constraints = [models.UniqueConstraint(fields=["user_id"], name="erasure_once")]
        indexes = [
            models.Index(fields=["external_digest"], name="erasure_by_outside_id", condition=~Q(external_digest=""))
        ]

    def __str__(self) -> str:
        return str(self.receipt)
