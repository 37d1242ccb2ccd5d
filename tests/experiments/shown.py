"""What was shown, and what came of it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from access.models import User
from experiments.models import Engagement, Slate
from interactions.models import Exposure, Interaction

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=12, minute=0, second=0, microsecond=0)


def slate(user: User | None, tracks: list[int], days: int = 0, **fields: Any) -> Slate:
    shown = {"strategy": "personal", "model_version": "v1", "placement": "home"} | fields
    return Slate.objects.create(
        id=uuid.uuid4(), user=user, track_ids=tracks, shown_at=TODAY - timedelta(days=days), **shown
    )


def exposed(user: User, track: int, kind: str, of: Slate | None, at: datetime = TODAY) -> None:
    slate_id = of.pk if of else None
    Exposure.objects.create(user=user, track_id=track, kind=kind, occurred_at=at, recommendation_id=slate_id)


def played(user: User, track: int, of: Slate | None, at: datetime = TODAY, **fields: Any) -> None:
    slate_id = of.pk if of else None
    row = {"kind": "play", "source": "test", "user": user, "track_id": track, "played_at": at} | fields
    Interaction.objects.create(recommendation_id=slate_id, **row)


def counted(**of: Any) -> dict[str, int]:
    row = Engagement.objects.get(**of)
    names = ("slates", "listeners", "impressions", "clicks", "plays", "completions", "skips", "listened_ms")
    return {name: getattr(row, name) for name in names}
