"""Who a listener is: their account, their consent, and what the version in service knows of them."""

from typing import NamedTuple

from django.conf import settings

from recommendations.admin.formatting import UNKNOWN, format_count, format_day, format_time
from recommendations.models import Listener
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.request_context import RequestContext

NO_CONSENT = (
    "This listener does not consent: none of their events is stored or learned from, and they get popular tracks. This "
    "page shows only what is stored: blocks, and what was stored while they consented. Of that, only dislikes count."
)
DEACTIVATED = "This account is deactivated: the API treats its listener as unknown, who gets popular tracks."


class AccountFact(NamedTuple):
    """A row of the account's table; `note` explains the value."""

    name: str
    value: str
    note: str = ""


def account_facts(listener: Listener, context: RequestContext, model: LoadedModel) -> list[AccountFact]:
    """Return the facts about a listener's account, in the order of the page."""
    return [
        AccountFact("User id", str(listener.pk)),
        AccountFact("External id", listener.external_id or UNKNOWN),
        AccountFact("Username", listener.username),
        AccountFact("Display name", listener.display_name or UNKNOWN),
        AccountFact(
            "Account since", format_time(listener.date_joined), "also an operator" if listener.is_staff else ""
        ),
        AccountFact("Consent", "yes" if listener.consent else "no"),
        AccountFact(
            "Market", listener.market or UNKNOWN, "" if listener.market else "tracks of all markets are offered"
        ),
        AccountFact("Explicit tracks", "offered" if listener.allow_explicit else "left out"),
        AccountFact("Interactions", format_count(context.history.interactions), explain_strategy(context)),
        AccountFact("Model", model.bundle.version or "none in service", explain_stamp(listener, context, model)),
    ]


def warnings_about(listener: Listener) -> list[str]:
    """Return sentences about what keeps a listener from personal recommendations."""
    return [
        *([] if listener.is_active else [DEACTIVATED]),
        *([] if listener.consent else [NO_CONSENT]),
    ]


def is_cold(context: RequestContext) -> bool:
    return bool(context.history.interactions < settings.MUSICREC["COLD_BELOW"])


def explain_strategy(context: RequestContext) -> str:
    """Return what the number of a listener's interactions means for their recommendations."""
    cold_below = settings.MUSICREC["COLD_BELOW"]
    if not context.settings.consent:
        return "not learned from"
    if not context.history.interactions:
        return "cold: popular tracks"
    if is_cold(context):
        return f"cold: personal and popular tracks are mixed until there are {cold_below}"
    return "personal recommendations"


def explain_stamp(listener: Listener, context: RequestContext, model: LoadedModel) -> str:
    """Return which of a listener's interactions the version in service was trained on."""
    bundle, history = model.bundle, context.history
    if bundle.version is None:
        return "tracks are recommended by popularity alone"
    if (row := bundle.users.row(listener.pk)) is None:
        return "it was trained without them; what they play is taken into account at each request"
    if bundle.user_row(listener.pk, (history.interactions, history.newest, history.checksum)) is not None:
        return "it has seen all their interactions"
    interactions, newest = bundle.user_stamps[row, :2].tolist()
    return (
        f"it has seen {format_count(interactions)} interactions, the latest of {format_day(newest)}; the current ones "
        "are taken into account at each request"
    )
