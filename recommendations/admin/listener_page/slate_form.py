"""The form by which the page is asked for a slate: a policy, a length, and dials in place of the policy's own."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django import forms

from engine.pipeline import Policy
from recommendations.admin.policies.form import DIALS, REPEAT_AFTER
from recommendations.policies.selectors import UnknownPolicy, find_policy_by_label

DEFAULT_LIMIT, MAX_LIMIT = 20, 50
MAX_LABEL = 80
AS_SERVED = "as served"
COOL_DOWN = "repeat_after_hours"
ABOUT_OTHERS = {"similar": "track", "radio": "radio"}  # what policies that are not about a listener are about


class SlateForm(forms.Form):
    """What to show; empty fields mean: as it would be served."""

    policy = forms.CharField(
        required=False,
        max_length=MAX_LABEL,
        widget=forms.TextInput(attrs={"placeholder": AS_SERVED, "list": "policies", "autocomplete": "off"}),
    )
    limit = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_LIMIT,
        label="Tracks",
        widget=forms.NumberInput(attrs={"placeholder": str(DEFAULT_LIMIT)}),
    )

    def __init__(self, data: Any, policies: Iterable[str]) -> None:
        super().__init__(data)
        self.policies = [name for name in policies if name not in ABOUT_OTHERS]  # to choose from, as they are in use
        for name, text in DIALS.items():
            field = forms.FloatField(required=False, min_value=0, max_value=1, label=text.label)
            field.widget.attrs |= {"step": "0.05", "title": text.help}
            self.fields[name] = field
        cool_down = forms.FloatField(required=False, min_value=0, max_value=24 * 365, label=REPEAT_AFTER.label)
        cool_down.widget.attrs |= {"step": "any", "title": REPEAT_AFTER.help}
        self.fields[COOL_DOWN] = cool_down

    def clean_policy(self) -> Policy | None:
        """Return the policy of a name, or of a name and a version such as "personal@3"."""
        label = self.cleaned_data["policy"]
        if not label:
            return None
        try:
            policy = find_policy_by_label(label)
        except UnknownPolicy as error:
            raise forms.ValidationError(str(error)) from error
        if about := ABOUT_OTHERS.get(policy.main_source):
            raise forms.ValidationError(f"{label} is about a {about}; choose a policy about a listener")
        return policy

    @property
    def limit_value(self) -> int:
        return int(self.cleaned_data["limit"] or DEFAULT_LIMIT)

    @property
    def chosen_dials(self) -> dict[str, float]:
        """The dials that were filled in."""
        names = (*DIALS, COOL_DOWN)
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data[name] is not None}

    def show_dials_of(self, policy: Policy) -> None:
        """Show the dials of the policy where none was filled in."""
        for name, value in asdict(policy.dials).items():
            self.fields[name].widget.attrs["placeholder"] = f"{value:g}"
