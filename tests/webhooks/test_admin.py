"""Endpoints and the log of deliveries in the admin."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from access.models import User
from tests.webhooks.receiver import Receiver, answer
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.sending import send_due_deliveries
from webhooks.services import announce
from webhooks.signatures import secret_of

Subscribe = Callable[..., WebhookEndpoint]
ENDPOINTS, DELIVERIES = "/admin/webhooks/webhookendpoint/", "/admin/webhooks/webhookdelivery/"
FORM = {"name": "app", "url": "http://backend:8000/hooks", "event_types": ["alarm.raised"], "is_active": "on"}


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def perform(client: Client, page: str, action: str, *rows: Any, **fields: str) -> str:
    data = {"action": action, "_selected_action": [row.pk for row in rows]} | fields
    return client.post(page, data, follow=True).content.decode()


def logged() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def test_a_new_endpoint_shows_its_secret_once(operator: Client) -> None:
    response = operator.post(f"{ENDPOINTS}add/", FORM)
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.name, endpoint.url, endpoint.event_types, endpoint.is_active) == (
        *("app", "http://backend:8000/hooks", ["alarm.raised"], True),
    )
    secret = secret_of(endpoint.secret_seed)
    assert re.findall(r"whsec_[\w+/=]+", response.content.decode()) == [secret]
    assert "no-store" in response["Cache-Control"]
    for path in (ENDPOINTS, f"{ENDPOINTS}{endpoint.pk}/change/", f"{ENDPOINTS}{endpoint.pk}/history/"):
        page = operator.get(path).content.decode()
        assert "whsec_" not in page
        assert endpoint.secret_seed not in page
    assert secret not in str(list(WebhookEndpoint.objects.values())) + str(list(LogEntry.objects.values()))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://app.example/", "begins with https:// or http://"),
        ("https:///hooks", "begins with https:// or http://"),
        ("https://app.example:99999/", "begins with https:// or http://"),
        ("https://app.example/a b", "percent-encoded"),
        ("https://äpp.example/", "percent-encoded"),
        ("https://user:password@app.example/", "Leave the user name and the password out"),
        ("https://app.example/#part", "begins with #"),
    ],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused(operator: Client, url: str, reason: str) -> None:
    page = operator.post(f"{ENDPOINTS}add/", FORM | {"url": url}).content.decode()
    assert reason in page
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_needs_an_event(operator: Client) -> None:
    operator.post(f"{ENDPOINTS}add/", FORM | {"event_types": []})
    operator.post(f"{ENDPOINTS}add/", FORM | {"event_types": ["unknown"]})
    assert not WebhookEndpoint.objects.exists()


def test_a_test_event_shows_what_the_receiver_answered(
    operator: Client, subscribe: Subscribe, receiver: Receiver
) -> None:
    endpoint = subscribe(receiver)
    assert "nothing delivered yet" in operator.get(ENDPOINTS).content.decode()
    receiver.replies = [answer(500, b"out of order")]
    assert "A test event for app is on its way" in perform(operator, ENDPOINTS, "send_test_event", endpoint)
    send_due_deliveries()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.event_type, logged()) == ("webhook.test", ["Sent a test event."])
    page = operator.get(f"{DELIVERIES}{delivery.pk}/change/").content.decode()
    for text in ("answered 500; expected 200 to 299", "out of order", "&quot;type&quot;: &quot;webhook.test&quot;"):
        assert text in page
    assert "answered 500" in operator.get(f"{DELIVERIES}?status=pending&event_type=webhook.test").content.decode()
    assert "failing for" in operator.get(ENDPOINTS).content.decode()


def test_an_inactive_endpoint_gets_no_test_event(operator: Client, subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver, is_active=False)
    assert "app is not active" in perform(operator, ENDPOINTS, "send_test_event", endpoint)
    assert not WebhookDelivery.objects.exists()
    assert logged() == []


def test_rotating_a_secret_asks_first_and_shows_the_new_one(
    operator: Client, subscribe: Subscribe, receiver: Receiver
) -> None:
    endpoint = subscribe(receiver)
    old = secret_of(endpoint.secret_seed)
    assert "Rotate the secret of app?" in perform(operator, ENDPOINTS, "rotate_secret", endpoint)
    endpoint.refresh_from_db()
    assert (secret_of(endpoint.secret_seed), endpoint.previous_until) == (old, None)
    page = perform(operator, ENDPOINTS, "rotate_secret", endpoint, confirmed="yes")
    endpoint.refresh_from_db()
    new = secret_of(endpoint.secret_seed)
    assert re.findall(r"whsec_[\w+/=]+", page) == [new] != [old]
    assert secret_of(endpoint.previous_seed) == old
    assert logged() == ["Rotated the secret."]
    other = subscribe(receiver, "other")
    assert "Select one endpoint" in perform(operator, ENDPOINTS, "rotate_secret", endpoint, other, confirmed="yes")
    endpoint.refresh_from_db()
    assert secret_of(endpoint.secret_seed) == new


def test_activating_an_endpoint_that_was_gone_sends_what_waits(
    operator: Client, subscribe: Subscribe, receiver: Receiver
) -> None:
    endpoint = subscribe(receiver)
    receiver.replies = [answer(410)]
    announce("alarm.raised", {})
    announce("alarm.raised", {})
    send_due_deliveries()
    assert "answered 410 Gone" in operator.get(ENDPOINTS).content.decode()
    operator.post(f"{ENDPOINTS}{endpoint.pk}/change/", FORM | {"url": receiver.url})
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.gone_at, endpoint.failing_since) == (True, None, None)
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"


def test_a_failed_delivery_can_be_sent_again(operator: Client, subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    announce("alarm.raised", {"kind": "x"})
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(status="failed", attempts=8, next_attempt_at=None)
    assert "1 delivery will be sent again" in perform(operator, DELIVERIES, "send_again", delivery)
    assert logged() == ["Sent again."]
    send_due_deliveries()
    assert receiver.received[0].verify(secret_of(endpoint.secret_seed))["data"] == {"kind": "x"}
    assert re.search(r"delivered 0\sminutes ago", operator.get(ENDPOINTS).content.decode())


def test_who_may_only_view_deliveries_cannot_send_them(
    client: Client, subscribe: Subscribe, receiver: Receiver
) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_webhookdelivery"))
    client.force_login(viewer)
    subscribe(receiver)
    announce("alarm.raised", {})
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(status="failed", next_attempt_at=None)
    assert client.get(DELIVERIES).status_code == 200
    perform(client, DELIVERIES, "send_again", delivery)
    delivery.refresh_from_db()
    assert delivery.status == "failed"
    assert client.get(ENDPOINTS).status_code == 403


def test_deleting_an_endpoint_deletes_its_log(operator: Client, subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    for _ in range(3):
        announce("alarm.raised", {"at": str(timezone.now())})
    page = operator.get(f"{ENDPOINTS}{endpoint.pk}/delete/").content.decode()
    assert "app, and the log of its deliveries" in page
    operator.post(f"{ENDPOINTS}{endpoint.pk}/delete/", {"post": "yes"})
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()
