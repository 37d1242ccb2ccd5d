"""The types of events that clients may send.

A new type takes a line in `EventType`, a test, and a line in the documentation. If its `kind` is new as well, it also
takes a member of `Interaction.Kind` or `Exposure.Kind` and a migration, because the tables accept only kinds they know.
"""

import enum

from engine.data.plays import Signal
from interactions.models import Exposure, Interaction

_Kind = Interaction.Kind
_PLAYBACK = ("ms_played", "end_reason")


class EventType(enum.Enum):
    """The type of an event."""  # published: part of the OpenAPI document

    model: type[Interaction] | type[Exposure]  # recommenders learn from interactions; exposures measure engagement
    kind: str  # of the stored row
    signal: Signal | None  # what the interaction says to recommenders, who derive its confidence from it
    fields: tuple[str, ...]  # optional fields that only this type has; the other types ignore them

    IMPRESSION = "impression", Exposure, Exposure.Kind.IMPRESSION
    CLICK = "click", Exposure, Exposure.Kind.CLICK
    PLAY_START = "play_start", Exposure, Exposure.Kind.PLAY_START
    PLAY_END = "play_end", Interaction, _Kind.PLAY, Signal.PLAY, _PLAYBACK
    SKIP = "skip", Interaction, _Kind.SKIP, Signal.SKIP
    LIKE = "like", Interaction, _Kind.LIKE, Signal.LIKE
    UNLIKE = "unlike", Interaction, _Kind.UNLIKE, Signal.UNLIKE
    DISLIKE = "dislike", Interaction, _Kind.DISLIKE, Signal.DISLIKE
    UNDISLIKE = "undislike", Interaction, _Kind.UNDISLIKE, Signal.UNDISLIKE
    SHARE = "share", Interaction, _Kind.SHARE, Signal.SHARE
    PLAYLIST_ADD = "playlist_add", Interaction, _Kind.PLAYLIST_ADD, Signal.ADD
    PLAYLIST_REMOVE = "playlist_remove", Interaction, _Kind.PLAYLIST_REMOVE, Signal.REMOVE

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
