"""The types of events that clients may send.

A new type takes a line in `EventType`, a test, and a line in the documentation. If its `kind` is new as well, it also
takes a member of `InteractionKind` or `ExposureKind` and a migration, because the tables accept only kinds they know.
"""

import enum

from engine.data.plays import Signal
from interactions.models import Exposure, ExposureKind, Interaction, InteractionKind

PLAYBACK_FIELDS = ("ms_played", "end_reason")


class EventType(enum.Enum):
    """The type of an event."""  # published: part of the OpenAPI document

    model: type[Interaction] | type[Exposure]  # recommenders learn from interactions; exposures measure engagement
    kind: str  # of the stored row
    signal: Signal | None  # how recommenders interpret the interaction: its confidence is derived from this
    fields: tuple[str, ...]  # optional fields that only this type has; the other types ignore them

    IMPRESSION = "impression", Exposure, ExposureKind.IMPRESSION
    CLICK = "click", Exposure, ExposureKind.CLICK
    PLAY_START = "play_start", Exposure, ExposureKind.PLAY_START
    PLAY_END = "play_end", Interaction, InteractionKind.PLAY, Signal.PLAY, PLAYBACK_FIELDS
    SKIP = "skip", Interaction, InteractionKind.SKIP, Signal.SKIP
    LIKE = "like", Interaction, InteractionKind.LIKE, Signal.LIKE
    UNLIKE = "unlike", Interaction, InteractionKind.UNLIKE, Signal.UNLIKE
    DISLIKE = "dislike", Interaction, InteractionKind.DISLIKE, Signal.DISLIKE
    UNDISLIKE = "undislike", Interaction, InteractionKind.UNDISLIKE, Signal.UNDISLIKE
    SHARE = "share", Interaction, InteractionKind.SHARE, Signal.SHARE
    PLAYLIST_ADD = "playlist_add", Interaction, InteractionKind.PLAYLIST_ADD, Signal.ADD
    PLAYLIST_REMOVE = "playlist_remove", Interaction, InteractionKind.PLAYLIST_REMOVE, Signal.REMOVE

    def __new__(
        cls,
        value: str,
        model: type[Interaction] | type[Exposure],
        kind: str,
        signal: Signal | None = None,
        fields: tuple[str, ...] = (),
    ) -> "EventType":
        member = object.__new__(cls)
        member._value_ = value
        member.model, member.kind, member.signal, member.fields = model, str(kind), signal, fields
        return member
