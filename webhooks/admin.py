"""Admin of webhook endpoints and of the log of their deliveries."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin

from common.admin import ReadOnlyAdmin, list_url
from common.confirmation import Confirmation, confirmation_page, is_confirmed
from webhooks.forms import WebhookEndpointForm
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import ROTATION_GRACE, reactivate_endpoint, rotate_secret, send_again, send_test_event
from webhooks.signatures import secret_of

Status = WebhookDelivery.Status


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):  # type: ignore[misc]
    """Endpoints. A secret is shown once, when the endpoint is created and when its secret is rotated."""

    form = WebhookEndpointForm
    list_display = ["name", "url", "events", "is_active", "health", "waiting"]
    list_filter = ["is_active"]
    fields = ["name", "url", "event_types", "is_active"]
    actions = ["send_test_event", "rotate_secret"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        pending = Count("deliveries", filter=Q(deliveries__status=Status.PENDING))
        last_delivered = Max("deliveries__delivered_at")
        endpoints: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return endpoints.annotate(pending=pending, last_delivered_at=last_delivered)

    @admin.display
    def events(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.event_types)

    @admin.display
    def health(self, endpoint: Any) -> str:
        if endpoint.gone_at:
            return f"answered 410 Gone, {timesince(endpoint.gone_at)} ago"
        if endpoint.failing_since:
            return f"failing for {timesince(endpoint.failing_since)}"
        if endpoint.last_delivered_at:
            return f"delivered {timesince(endpoint.last_delivered_at)} ago"
        return "nothing delivered yet"

    @admin.display(description="pending")
    def waiting(self, endpoint: Any) -> int:
        return int(endpoint.pending)

    def response_add(self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: Any = None) -> HttpResponse:
        super().response_add(request, obj, post_url_continue)  # adds the message that it was created
        return self._secret_page(request, obj, secret_of(obj.secret_seed), "It is shown only now.")

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        """Save what the form changed, and no other column: a delivery may change the row meanwhile."""
        obj.save(update_fields=form.changed_data if change else None)
        if "is_active" in form.changed_data and obj.is_active:
            reactivate_endpoint(obj.pk)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List the endpoints alone for confirmation; an endpoint may have many thousand deliveries."""
        return [f"{endpoint}, and the log of its deliveries" for endpoint in objs], {}, set(), []

    @admin.action(description="Send a test event", permissions=["change"])
    def send_test_event(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in endpoints:
            if endpoint.is_active:
                send_test_event(endpoint)
                self.log_change(request, endpoint, "Sent a test event.")
                text = f"A test event for {endpoint} is on its way; Webhook deliveries shows what comes of it."
                self.message_user(request, text, messages.SUCCESS)
            else:
                self.message_user(request, f"{endpoint} is not active: activate it first.", messages.ERROR)

    @admin.action(description="Rotate the secret", permissions=["change"])
    def rotate_secret(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> HttpResponse | None:
        if len(endpoints) != 1:
            self.message_user(request, "Select one endpoint: each has a secret of its own.", messages.ERROR)
            return None
        endpoint, hours = endpoints[0], ROTATION_GRACE.total_seconds() / 3600
        if not is_confirmed(request):
            confirmation = Confirmation(
                question=f"Rotate the secret of {endpoint}?",
                button="Rotate the secret",
                consequences=[
                    "The new secret is shown once, on the next page.",
                    f"For {hours:g} hours every delivery is signed with both; after that with the new one only.",
                    "If the secret was rotated in the last hours, the one before the current secret ends at once.",
                ],
            )
            return confirmation_page(self, request, confirmation, list_url(self))
        secret = rotate_secret(endpoint.pk)
        self.log_change(request, endpoint, "Rotated the secret.")
        hint = f"It is shown only now. The old one is valid for {hours:g} more hours."
        return self._secret_page(request, endpoint, secret, hint)

    def _secret_page(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str, hint: str) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"The secret of {endpoint}",
            "secret": secret,
            "hint": hint,
            "list_url": list_url(self),
        }
        return TemplateResponse(request, "webhooks/secret.html", context)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """The log of deliveries."""

    list_display = ["created_at", "event_type", "endpoint", "status", "attempts", "next_attempt_at", "outcome"]
    list_filter = ["status", "endpoint", "event_type"]
    list_select_related = ["endpoint"]
    search_fields = ["event_id"]
    fields = [
        *("endpoint", "event_type", "event_id", "status", "attempts", "created_at", "next_attempt_at", "delivered_at"),
        *("body", "response_status", "response_excerpt", "error"),
    ]
    readonly_fields = ["body"]
    actions = ["send_again"]

    @admin.display
    def outcome(self, delivery: WebhookDelivery) -> str:
        return delivery.error or (f"answered {delivery.response_status}" if delivery.response_status else "")

    @admin.display
    def body(self, delivery: WebhookDelivery) -> SafeString:
        pretty = json.dumps(json.loads(delivery.payload), indent=2, ensure_ascii=False)
        return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', pretty)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webhooks.change_webhookdelivery")

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        count = send_again(deliveries)
        for delivery in deliveries:
            self.log_change(request, delivery, "Sent again.")
        self.message_user(request, f"{count} deliver{pluralize(count, 'y,ies')} will be sent again.", messages.SUCCESS)
