"""Policies: named ways to build a slate, as data that can be stored, compared and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

MAX_CANDIDATES = 2_000  # of one source; ranking them takes a few milliseconds
MAX_WINDOW = 200
MAX_WEIGHT = 10.0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Dials:
    """How much a slate is to differ from the top of its main source; all neutral by default.

    Attributes:
        familiarity: share of the positions for tracks that the listener knows, 0 (only new ones) to 1 (favourites).
        diversity: how much a track loses for its similarity to those before it, 0 to 1 (relevance does not count).
        novelty: weight of the self-information of a track: how few listeners it has.
        freshness: weight of how new a track is.
        artist_exposure: weight of how little the artist of a track is heard.
        calibration: weight of the distance between the popularity of a track and the listener's usual popularity.
        repeat_after_hours: how long a track that the listener has just played is not repeated by `familiarity`.
        context: share of the learnt weights of the hour, the weekday, the device and the activity that counts.
    """

    familiarity: float = 0.0
    diversity: float = 0.0
    novelty: float = 0.0
    freshness: float = 0.0
    artist_exposure: float = 0.0
    calibration: float = 0.0
    repeat_after_hours: float = 12.0
    context: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            most = 24 * 365.0 if name == "repeat_after_hours" else 1.0
            if not _is_number(value) or not 0 <= value <= most:
                raise ValueError(f"dials.{name}: must be a number from 0 to {most:g}, not {value!r}")


@dataclass(frozen=True)
class Caps:
    """What a slate may not contain, as far as the catalogue has something else.

    Attributes:
        per_artist: most tracks of one artist in any `window` consecutive positions; 0 for no cap.
        window: the number of these positions.
        artist_gap: least number of positions between two tracks of one artist; 0 allows neighbours.
        merge_recordings: offer one track of each recording, and none of a recording that the listener knows.
        new_artist_share: least share of the positions for artists whom hardly anybody has heard, 0 to 1.
    """

    per_artist: int = 2
    window: int = 20
    artist_gap: int = 1
    merge_recordings: bool = True
    new_artist_share: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("per_artist", 0), ("window", 1), ("artist_gap", 0)):
            value = getattr(self, name)
            if not _is_whole_number(value) or not least <= value <= MAX_WINDOW:
                raise ValueError(f"caps.{name}: must be a whole number from {least} to {MAX_WINDOW}, not {value!r}")
        if not isinstance(self.merge_recordings, bool):
            raise ValueError(f"caps.merge_recordings: must be true or false, not {self.merge_recordings!r}")
        if not _is_number(self.new_artist_share) or not 0 <= self.new_artist_share <= 1:
            raise ValueError(f"caps.new_artist_share: must be a number from 0 to 1, not {self.new_artist_share!r}")


NO_CAPS = Caps(per_artist=0, artist_gap=0, merge_recordings=False)


@dataclass(frozen=True)
class Policy:
    """A named way to build a slate from a bundle.

    Attributes:
        name: the name by which requests are assigned to it, and under which answers are cached.
        sources: weights of candidate sources by name, at least one. The first is the main source: its scores are the
            relevance of all candidates, whoever proposed them, and its weight counts as 1. The others add their own
            opinion times their weight; one with weight 0 only proposes. Dials act on candidates that are, with these
            opinions, as relevant as what the main source proposes.
        candidates: how many tracks each source proposes.
        head: how many of the first positions go to the most relevant tracks, whatever the dials say: they act below.
            Only the diversity that a request asks for acts there, too, see `Query.head_diversity`.
        fill: sources that fill, in this order, the positions that would stay empty.
        may_repeat: offer the tracks of `Query.exclude` after all if there is nothing else.
        offers_known: offer the tracks that the listener knows, although the request does not ask for them.
        dials: see `Dials`.
        caps: see `Caps`.
        version: 0 for a policy that is built in; others count from 1.
    """

    name: str
    sources: Mapping[str, float] = field(hash=False)
    candidates: int = 200
    head: int = 0
    fill: tuple[str, ...] = ()
    may_repeat: bool = True
    offers_known: bool = False
    dials: Dials = Dials()
    caps: Caps = Caps()
    version: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name: must be a text, not {self.name!r}")
        if not isinstance(self.sources, Mapping) or not self.sources:
            raise ValueError(f"sources: must map at least one candidate source to its weight, not {self.sources!r}")
        for source, weight in self.sources.items():
            if not _is_number(weight) or not 0 <= weight <= MAX_WEIGHT:
                raise ValueError(f"sources.{source}: the weight must be from 0 to {MAX_WEIGHT:g}, not {weight!r}")
        if not _is_whole_number(self.candidates) or not 1 <= self.candidates <= MAX_CANDIDATES:
            raise ValueError(
                f"candidates: must be a whole number from 1 to {MAX_CANDIDATES:,}, not {self.candidates!r}"
            )
        if not _is_whole_number(self.head) or not 0 <= self.head <= MAX_WINDOW:
            raise ValueError(f"head: must be a whole number from 0 to {MAX_WINDOW}, not {self.head!r}")
        if not isinstance(self.fill, (tuple, list)) or not all(isinstance(name, str) for name in self.fill):
            raise ValueError(f"fill: must be a list of candidate sources, not {self.fill!r}")
        for name in ("may_repeat", "offers_known"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: must be true or false, not {getattr(self, name)!r}")
        if not _is_whole_number(self.version) or self.version < 0:
            raise ValueError(f"version: must be a whole number from 0 on, not {self.version!r}")
        object.__setattr__(self, "sources", dict(self.sources))
        object.__setattr__(self, "fill", tuple(self.fill))

    @property
    def label(self) -> str:
        """The name, with the version unless the policy is built in: "personal", or "personal@3"."""
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def main_source(self) -> str:
        return next(iter(self.sources))

    @property
    def source_names(self) -> tuple[str, ...]:
        """All sources that the policy names, in the order in which it asks them."""
        return tuple(dict.fromkeys((*self.sources, *self.fill)))

    def to_dict(self) -> dict[str, Any]:
        """Return the policy, ready for JSON.

        The sources are a list, because their order counts and databases do not keep the order of the keys of an object.
        """
        return {
            "name": self.name,
            "version": self.version,
            "sources": [{"source": name, "weight": weight} for name, weight in self.sources.items()],
            "candidates": self.candidates,
            "head": self.head,
            "fill": list(self.fill),
            "may_repeat": self.may_repeat,
            "offers_known": self.offers_known,
            "dials": asdict(self.dials),
            "caps": asdict(self.caps),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Policy:
        """Build a policy from what `to_dict` returned. Fields that are missing have their defaults.

        Raises:
            ValueError: a field is unknown, missing or has a wrong value; the message begins with the field.
        """
        values = dict(_check_fields(cls, "", document))
        for name in ("name", "sources"):
            if name not in values:
                raise ValueError(f"{name}: is missing")
        values["sources"] = _parse_sources(values["sources"])
        for name, section in (("dials", Dials), ("caps", Caps)):
            if name in values:
                values[name] = section(**_check_fields(section, f"{name}.", values[name]))
        return cls(**values)


def _parse_sources(entries: Any) -> dict[str, float]:
    if not isinstance(entries, (list, tuple)):
        raise ValueError(f"sources: must be a list of objects with a source and its weight, not {entries!r}")
    sources: dict[str, float] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or set(entry) != {"source", "weight"}:
            raise ValueError(f"sources.{number}: must be an object with a source and its weight, not {entry!r}")
        if not isinstance(entry["source"], str) or entry["source"] in sources:
            raise ValueError(f"sources.{number}.source: must be the name of another source, not {entry['source']!r}")
        sources[entry["source"]] = entry["weight"]
    return sources


def _check_fields(section: type, prefix: str, document: Any) -> Mapping[str, Any]:
    """Return the document if it is a mapping with no other keys than the fields of a dataclass."""
    names = [f.name for f in fields(section)]
    if not isinstance(document, Mapping):
        raise ValueError(f"{prefix.rstrip('.') or 'policy'}: must be an object, not {document!r}")
    if unknown := [name for name in document if name not in names]:
        raise ValueError(f"{prefix}{unknown[0]}: is unknown; the fields are {', '.join(names)}")
    return document
