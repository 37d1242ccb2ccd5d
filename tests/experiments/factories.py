"""Create slates, exposures and plays, and read the engagement that was counted."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from access.models import User
from experiments.models import Engagement, Slate
from interactions.models import Exposure, Interaction

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=12, minute=0, second=0, microsecond=0)


def create_slate(user: User | None, tracks: list[int], days: int = 0, **fields: Any) -> Slate:
    shown = {"strategy": "personal", "model_version": "v1", "placement": "home"} | fields
    return Slate.objects.create(
        id=uuid.uuid4(), user=user, track_ids=tracks, shown_at=TODAY - timedelta(days=days), **shown
    )


def create_exposure(user: User, track: int, kind: str, shown_slate: Slate | None, at: datetime = TODAY) -> None:
    slate_id = shown_slate.pk if shown_slate else None
    Exposure.objects.create(user=user, track_id=track, kind=kind, occurred_at=at, recommendation_id=slate_id)


def create_play(user: User, track: int, shown_slate: Slate | None, at: datetime = TODAY, **fields: Any) -> None:
    slate_id = shown_slate.pk if shown_slate else None
    row = {"kind": "play", "source": "test", "user": user, "track_id": track, "played_at": at} | fields
    Interaction.objects.create(recommendation_id=slate_id, **row)


def engagement_counts(**filters: Any) -> dict[str, int]:
    row = Engagement.objects.get(**filters)
    names = ("slates", "listeners", "impressions", "clicks", "plays", "completions", "skips", "listened_ms")
    return {name: getattr(row, name) for name in names}
