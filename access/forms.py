from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from access.throttles import wait_for_name


class LimitedAuthenticationForm(AuthenticationForm):  # type: ignore[misc]
    """The admin's sign-in, in which passwords may be tried as often as at `/token`."""

    def clean(self) -> dict[str, Any]:
        if wait := wait_for_name(str(self.cleaned_data.get("username", ""))):
            raise ValidationError(f"Too many tries for this name; try again in {wait} seconds.")
        cleaned: dict[str, Any] = super().clean()
        return cleaned
