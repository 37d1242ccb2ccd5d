"""The page of one listener: who they are, and one of three tabs."""

from dataclasses import replace
from typing import Any

from django.http import QueryDict

from recommendations.admin.listener_page.account import account_facts, is_cold, warnings_about
from recommendations.admin.listener_page.dials import dials_tab
from recommendations.admin.listener_page.plays import plays_tab
from recommendations.admin.listener_page.slate import slate_tab
from recommendations.admin.listener_page.slate_form import SlateForm
from recommendations.admin.listener_page.traced_slate import plan_for, trace_slate
from recommendations.models import Listener
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RequestContext, load_contexts
from recommendations.serving.slate import set_dials

TABS = {"plays": "Plays and taste", "slate": "Why these tracks", "dials": "What dials change"}


def listener_page(listener: Listener, parameters: QueryDict) -> dict[str, Any]:
    """Return the context of the page.

    Args:
        listener: the listener.
        parameters: `tab` is a key of `TABS`, unknown ones fall back to the first; the others are those of `SlateForm`.
    """
    context, model = load_contexts([listener.pk])[listener.pk], model_cache.current()
    tab = parameters.get("tab", "")
    tab = tab if tab in TABS else "plays"
    page: dict[str, Any] = {
        "listener": listener,
        "warnings": warnings_about(listener),
        "is_cold": is_cold(context),
        "tabs": TABS,
        "tab": tab,
        "tab_template": f"recommendations/listener_{tab}.html",
    }
    if tab == "plays":
        return page | {"facts": account_facts(listener, context, model)} | plays_tab(listener, context)
    return page | _about_a_slate(tab, listener, context, model, parameters)


def _about_a_slate(
    tab: str, listener: Listener, context: RequestContext, model: LoadedModel, parameters: QueryDict
) -> dict[str, Any]:
    """Return the context of a tab about a slate; with errors in the form, of the form alone."""
    form = SlateForm(parameters, context.policies)
    if not form.is_valid():
        return {"form": form}
    plan, requested = plan_for(listener, context, model, form.cleaned_data["policy"], form.limit_value)
    form.show_dials_of(plan.policy)
    query, policy = set_dials(plan.query, plan.policy, form.chosen_dials)
    plan = replace(plan, query=query, policy=policy)
    if tab == "dials":
        return {"form": form} | dials_tab(context, plan, parameters)
    return {"form": form} | slate_tab(listener, context, trace_slate(plan, requested, context))
