from typing import Any
from urllib.parse import urlsplit

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from webhooks.http import PORTS
from webhooks.models import WebhookEndpoint, WebhookEventType


class WebhookEndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    event_types = forms.MultipleChoiceField(
        label="Events", choices=WebhookEventType.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = WebhookEndpoint
        fields: Any = ["name", "url", "event_types", "is_active"]

    def clean_url(self) -> str:
        """Accept what `webhooks.http.post` can send to: single-label names of a private network, too."""
        url: str = self.cleaned_data["url"]
        try:
            parts = urlsplit(url)
            is_valid = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid or not url.isascii() or not url.isprintable() or " " in url:
            raise forms.ValidationError(
                "Enter an address that begins with https:// or http://, with special characters percent-encoded."
            )
        if parts.username or parts.password:
            raise forms.ValidationError(
                "Leave the user name and the password out: receivers verify the signature instead."
            )
        if parts.fragment:
            raise forms.ValidationError("Leave out the part that begins with #: it is never sent.")
        return url
