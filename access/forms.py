from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from access.throttles import count_sign_in_attempt


class LimitedAuthenticationForm(AuthenticationForm):  # type: ignore[misc]
    """The admin's sign-in form. Attempts for a user name count together with those at `/token`."""

    def clean(self) -> dict[str, Any]:
        if wait := count_sign_in_attempt(str(self.cleaned_data.get("username", ""))):
            raise ValidationError(f"Too many attempts to sign in with this name; try again in {wait} seconds.")
        cleaned: dict[str, Any] = super().clean()
        return cleaned
