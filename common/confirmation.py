"""A page that asks before an admin action which cannot simply be undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.template.response import TemplateResponse

CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Confirmation:
    """The texts of a page that asks for a confirmation.

    Attributes:
        consequences: sentences for the operator.
        headings, facts: the columns of a table, and its rows by their name; empty for none.
        answer: what the form sends as `confirmed`. If it names what the page showed, an answer that has become outdated
            can be told from a current one.
    """

    question: str
    button: str
    consequences: Sequence[str]
    cancel: str = "Cancel"
    warning: str = ""
    headings: Sequence[str] = ()
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answer: str = "yes"
    is_dangerous: bool = True


def is_confirmed(request: HttpRequest, answer: str = "yes") -> bool:
    return request.POST.get(CONFIRMED) == answer


def confirmation_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, confirmation: Confirmation, cancel_url: str
) -> TemplateResponse:
    """Return the page. Its form repeats the request, with the answer in the field `confirmed`."""
    omitted = (CONFIRMED, "csrfmiddlewaretoken")
    repeated = [(name, value) for name, values in request.POST.lists() if name not in omitted for value in values]
    context = model_admin.admin_site.each_context(request) | {
        "opts": model_admin.opts,
        "title": confirmation.question,
        "confirmation": confirmation,
        "fields": [*repeated, (CONFIRMED, confirmation.answer)],
        "cancel_url": cancel_url,
    }
    return TemplateResponse(request, "common/confirm.html", context)
