"""Counts of the reasons for which rows or files are not imported."""

from collections import Counter

MAX_REASONS = 40
MAX_EXAMPLES = 3
OTHER_REASONS = "other reasons"


class ReasonCounts:
    """How often each reason occurred, with the first places where it did.

    Args:
        noun: what is counted, in the plural.
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}
        self.first_reasons: dict[str, str] = {}

    def add(self, place: str, reason: str, kind: str = "") -> None:
        """Count a reason.

        Args:
            place: the file, or the file and line.
            kind: the reason without values that differ from place to place, by which it is counted; "" if it has none.
        """
        kind = kind or reason
        if kind not in self.counts and len(self.counts) >= MAX_REASONS:
            kind = OTHER_REASONS
        self.counts[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < MAX_EXAMPLES:
            places.append(place)
        self.first_reasons.setdefault(kind, reason)

    def describe(self) -> list[str]:
        """Return a line for each reason, the most frequent first."""
        return [self._describe_reason(kind, count) for kind, count in self.counts.most_common()]

    def _describe_reason(self, kind: str, count: int) -> str:
        places = self.places[kind]
        line = f"{places[0]}: {self.first_reasons[kind]}"
        if count == 1:
            return line
        dots = ", …" if count > len(places) else ""
        also = "for other reasons " if kind == OTHER_REASONS else ""
        return f"{count:,} {self.noun}: {line}; {also}also {', '.join(places[1:])}{dots}"
