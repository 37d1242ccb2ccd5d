"""Who may ask: listeners (rows of AUTH_USER_MODEL) and service keys."""

import hashlib

from django.contrib.auth.models import AbstractUser
from django.db import models


class Scope(models.TextChoices):
    RECOMMEND = "recommend", "read recommendations of any listener"
    EVENTS = "events", "report plays of any listener"
    TRACKS = "tracks", "read the catalogue"
    METRICS = "metrics", "read metrics"


class User(AbstractUser):
    """A listener; staff are listeners who may open the admin."""

    external_id = models.CharField(
        max_length=128, unique=True, null=True, blank=True, help_text="The listener's id in the service it came from."
    )


class ServiceKey(models.Model):
    """A back end's key. Only its SHA-256 is kept: the key is 256 random bits, so a slow hash would add nothing."""

    name = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12, unique=True, help_text="The key's beginning, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @staticmethod
    def digest_of(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()
