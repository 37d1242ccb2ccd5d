"""The form of a policy: a field for every source, dial and cap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from engine.pipeline import Caps, Dials, Policy, check_sources
from engine.policy import MAX_CANDIDATES, MAX_WEIGHT, MAX_WINDOW
from engine.retrieval.candidates import SOURCES
from recommendations.policies.services import MAX_NOTE, NAME

FILL_PLACES = ("fill_1", "fill_2", "fill_3", "fill_4")
UNUSED = "not used"

# What each source proposes, for the operator; a source that is added later shows its name alone.
SOURCE_TEXTS = {
    "personal": "The models of the version blended: what listeners with this history play.",
    "early": "For listeners with few plays: their own taste and what is popular, blended.",
    "neighbours": "Tracks that are played together with the listener’s own.",
    "content": "Tracks whose tags, artist, year and sound are like the listener’s own, also those nobody has played.",
    "repeat": "Tracks that the listener plays again and again.",
    "session": "Tracks that are often played after those of the current session.",
    "popular": "The tracks with most listeners.",
    "trending": "Tracks that are played more than usual now.",
    "new_releases": "Tracks that came out or were added lately.",
    "sliders": "Tracks of the artists and tags that the listener wants more of.",
    "similar": "Tracks similar to the track that a request names.",
    "radio": "Tracks near to the station of a radio; none for requests that are not about one.",
    "group": "Tracks for several listeners together; none for requests of a single one.",
    "random": "Any track, in an order that stays the same for a listener.",
}


class DialText(NamedTuple):
    """What a form says of a dial or a cap."""

    label: str
    help: str


DIALS = {
    "familiarity": DialText(
        "Familiarity", "Share of positions for tracks that the listener knows: 0 only new tracks, 1 only favourites."
    ),
    "diversity": DialText(
        "Diversity", "0 takes the best tracks, however similar; 1 only looks for tracks unlike those before them."
    ),
    "novelty": DialText("Novelty", "Prefers tracks with few listeners."),
    "freshness": DialText("Freshness", "Prefers tracks that came out lately."),
    "artist_exposure": DialText("Artist exposure", "Prefers artists who are heard little."),
    "calibration": DialText("Calibration", "Prefers tracks about as popular as those that the listener usually plays."),
    "context": DialText(
        "Context",
        "Prefers what the listener plays at this hour and on this weekday, and what is played on the device and for "
        "the activity of the request, as far as the next training finds that they help; 0 for not at all.",
    ),
}
REPEAT_AFTER = DialText(
    "Hours until a repeat", "A track that was played less than this many hours ago is not repeated by familiarity."
)
CAPS = {
    "per_artist": DialText("Tracks of one artist", "At most this many in any window of positions; 0 for no cap."),
    "window": DialText("Window", "The number of positions that the cap counts in."),
    "artist_gap": DialText(
        "Gap between tracks of one artist", "Positions with other artists between two tracks of one; 0 for none."
    ),
}
MERGE_RECORDINGS = DialText(
    "Merge recordings", "Offer one track of each recording, and none of a recording that the listener knows."
)
NEW_ARTIST_SHARE = DialText(
    "Share of new artists", "Least share of the positions for artists whom hardly anybody has heard."
)


def _number(text: DialText, most: float, *, required: bool = True) -> forms.FloatField:
    message = f"must be a number from 0 to {most:g}; correct it, or put the earlier value back"
    return forms.FloatField(
        label=text.label,
        help_text=text.help,
        min_value=0,
        max_value=most,
        required=required,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"} | ({"data-slider": True} if most == 1 else {})),
        error_messages=dict.fromkeys(("invalid", "required", "min_value", "max_value"), message),
    )


def _whole_number(text: DialText, least: int, most: int) -> forms.IntegerField:
    message = f"must be a whole number from {least} to {most:,}; correct it, or put the earlier value back"
    return forms.IntegerField(
        label=text.label,
        help_text=text.help,
        min_value=least,
        max_value=most,
        widget=UnfoldAdminIntegerFieldWidget(),
        error_messages=dict.fromkeys(("invalid", "required", "min_value", "max_value"), message),
    )


def _switch(text: DialText) -> forms.BooleanField:
    return forms.BooleanField(label=text.label, help_text=text.help, required=False, widget=UnfoldBooleanSwitchWidget())


class PolicyForm(forms.Form):
    """The values of a policy as fields. `policy` has the policy they make, once the form is valid."""

    name = forms.RegexField(
        rf"\A{NAME.pattern}\Z",
        label="Name",
        help_text="Another name saves a further policy. It answers no requests by itself, but can be evaluated.",
        widget=UnfoldAdminTextInputWidget(),
        error_messages={"invalid": "must be 1 to 64 lower-case letters, digits and _, beginning with a letter"},
    )
    note = forms.CharField(
        label="Note",
        max_length=MAX_NOTE,
        required=False,
        help_text="Why this version is made, for the history.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = [(name, name) for name in SOURCES]
        self.fields["main_source"] = forms.ChoiceField(
            label="Main source",
            choices=sources,
            help_text="Its score of a track is the relevance, whoever proposed the track. Its weight counts as 1.",
            widget=UnfoldAdminSelectWidget(),
        )
        for name in SOURCES:
            text = DialText(name, SOURCE_TEXTS.get(name, ""))
            self.fields[f"weight_{name}"] = _number(text, MAX_WEIGHT, required=False)
        self.fields["candidates"] = _whole_number(
            DialText("Candidates", "How many tracks each source proposes."), 1, MAX_CANDIDATES
        )
        self.fields["head"] = _whole_number(
            DialText(
                "Head",
                "How many of the first positions go to the most relevant tracks. The dials act below them; "
                "of a request, diversity acts in them, too.",
            ),
            0,
            MAX_WINDOW,
        )
        for number, name in enumerate(FILL_PLACES):
            self.fields[name] = forms.ChoiceField(
                label="Then" if number else "Fill empty positions by",
                choices=[("", "nothing"), *sources],
                required=False,
                widget=UnfoldAdminSelectWidget(),
            )
        self.fields["may_repeat"] = _switch(
            DialText("May repeat", "Offer tracks that the listener knows after all if there is nothing else.")
        )
        self.fields["offers_known"] = _switch(
            DialText(
                "Offers known tracks",
                "Offer tracks that the listener knows, although the request does not ask for them.",
            )
        )
        for name, text in DIALS.items():
            self.fields[name] = _number(text, 1)
        self.fields["repeat_after_hours"] = _number(REPEAT_AFTER, 24 * 365)
        for name, text in CAPS.items():
            self.fields[name] = _whole_number(text, 1 if name == "window" else 0, MAX_WINDOW)
        self.fields["merge_recordings"] = _switch(MERGE_RECORDINGS)
        self.fields["new_artist_share"] = _number(NEW_ARTIST_SHARE, 1)

    @classmethod
    def values_of(cls, policy: Policy) -> dict[str, Any]:
        """Return the values of the fields that make this policy."""
        values: dict[str, Any] = {"name": policy.name, "main_source": policy.main_source}
        values |= {f"weight_{name}": weight for name, weight in policy.sources.items()}
        values |= dict(zip(FILL_PLACES, policy.fill, strict=False))
        for owner, names in (
            (policy, ("candidates", "head", "may_repeat", "offers_known")),
            (policy.dials, (*DIALS, "repeat_after_hours")),
            (policy.caps, (*CAPS, "merge_recordings", "new_artist_share")),
        ):
            values |= {name: getattr(owner, name) for name in names}
        return values

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if self.errors:
            return values
        main = values["main_source"]
        weights = {main: values[f"weight_{main}"]} | {name: values[f"weight_{name}"] for name in SOURCES}
        if weights[main] is None:
            weights[main] = 1.0
        fill = [values[name] for name in FILL_PLACES if values[name]]
        for number, name in enumerate(FILL_PLACES):
            if values[name] and values[name] in [values[earlier] for earlier in FILL_PLACES[:number]]:
                self.add_error(name, f"{values[name]} is tried before already; choose another source, or nothing")
        try:
            self.policy = Policy(
                name=values["name"],
                sources={name: weight for name, weight in weights.items() if weight is not None},
                candidates=values["candidates"],
                head=values["head"],
                fill=tuple(fill),
                may_repeat=values["may_repeat"],
                offers_known=values["offers_known"],
                dials=Dials(**{name: values[name] for name in (*DIALS, "repeat_after_hours")}),
                caps=Caps(**{name: values[name] for name in (*CAPS, "merge_recordings", "new_artist_share")}),
            )
            check_sources(self.policy)
        except ValueError as error:  # a rule that no single field has
            self.add_error(None, str(error))
        return values

    def source_fields(self) -> list[forms.BoundField]:
        return self._bound_fields([f"weight_{name}" for name in SOURCES])

    def _bound_fields(self, names: Sequence[str]) -> list[forms.BoundField]:
        return [self[name] for name in names]

    def dial_fields(self) -> list[forms.BoundField]:
        return self._bound_fields((*DIALS, "repeat_after_hours"))

    def cap_fields(self) -> list[forms.BoundField]:
        return self._bound_fields((*CAPS, "merge_recordings", "new_artist_share"))

    def fill_fields(self) -> list[forms.BoundField]:
        return self._bound_fields(FILL_PLACES)

    def other_fields(self) -> list[forms.BoundField]:
        return self._bound_fields(("candidates", "head", "may_repeat", "offers_known"))
