"""The page of one listener: who they are, and a tab."""

from typing import Any

from django.http import QueryDict

from recommendations.admin.listener_page.account import account_facts, is_cold, warnings_about
from recommendations.admin.listener_page.plays import plays_tab
from recommendations.models import Listener
from recommendations.serving.model_cache import model_cache
from recommendations.serving.request_context import load_contexts

TABS = {"plays": "Plays and taste"}


def listener_page(listener: Listener, parameters: QueryDict) -> dict[str, Any]:
    """Return the context of the page.

    Args:
        listener: the listener.
        parameters: `tab` is a key of `TABS`; unknown ones fall back to the first.
    """
    context, model = load_contexts([listener.pk])[listener.pk], model_cache.current()
    tab = parameters.get("tab", "")
    tab = tab if tab in TABS else "plays"
    return {
        "listener": listener,
        "facts": account_facts(listener, context, model),
        "warnings": warnings_about(listener),
        "is_cold": is_cold(context),
        "tabs": TABS,
        "tab": tab,
        **plays_tab(listener, context),
    }
