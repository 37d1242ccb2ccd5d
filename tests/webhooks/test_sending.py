"""Deliveries reach a real receiver once, signed, or are repeated until they do."""

import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from standardwebhooks import WebhookVerificationError

from tests.postgres import free_port
from tests.webhooks.receiver import Receiver, answer, close, drip, hang, run_receiver
from webhooks import http, sending
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.selectors import failing_endpoints
from webhooks.sending import RETRY_DELAYS, prune_deliveries, send_due_deliveries
from webhooks.services import announce, rotate_secret, send_again, send_test_event
from webhooks.signatures import secret_of

Subscribe = Callable[..., WebhookEndpoint]
DATA = {"version": "v1", "algorithm": "ials", "title": "naïve"}


def announce_version() -> WebhookDelivery:
    announce("version.published", DATA)
    return WebhookDelivery.objects.latest("pk")


def make_due() -> None:
    WebhookDelivery.objects.filter(status="pending").update(next_attempt_at=timezone.now())


def test_a_delivery_has_a_signature_that_the_library_of_the_specification_accepts(
    subscribe: Subscribe, receiver: Receiver
) -> None:
    endpoint = subscribe(receiver)
    began = timezone.now()
    delivery = announce_version()
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
    [request] = receiver.received
    payload = request.verify(secret_of(endpoint.secret_seed))
    assert payload == {"type": "version.published", "timestamp": payload["timestamp"], "data": DATA}
    assert began <= datetime.fromisoformat(payload["timestamp"]) <= timezone.now()
    assert payload["timestamp"].endswith("Z")
    assert request.headers["webhook-id"] == delivery.event_id
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Host"] == f"localhost:{receiver.port}"
    with pytest.raises(WebhookVerificationError):
        request.verify(secret_of("another seed"))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.response_status, delivery.error) == ("delivered", 1, 204, "")
    assert (delivery.next_attempt_at, delivery.claimed_until) == (None, None)
    assert delivery.delivered_at is not None
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 0 failed"
    assert len(receiver.received) == 1


def test_each_endpoint_gets_what_it_subscribes_to_under_the_same_id(subscribe: Subscribe) -> None:
    with run_receiver() as both, run_receiver() as one, run_receiver() as inactive:
        subscribe(both, "both")
        subscribe(one, "one", event_types=["alarm.raised"])
        subscribe(inactive, "inactive", is_active=False)
        announce("version.published", DATA)
        announce("alarm.raised", {"kind": "held_back"})
        send_due_deliveries()
        assert [r.body[:20] for r in both.received] == [b'{"type":"version.pub', b'{"type":"alarm.raise']
        assert [r.headers["webhook-id"] for r in one.received] == [both.received[1].headers["webhook-id"]]
        assert inactive.received == []


def test_an_answer_of_500_is_repeated_later_under_the_same_id(subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    receiver.replies = [answer(500, b"database\0 away")]
    delivery = announce_version()
    assert send_due_deliveries() == "0 delivered, 1 to repeat, 0 failed"
    delivery.refresh_from_db()
    assert (delivery.status, delivery.response_status) == ("pending", 500)
    assert delivery.error == "answered 500; expected 200 to 299"
    assert delivery.response_excerpt == "database\N{REPLACEMENT CHARACTER} away"
    assert delivery.next_attempt_at is not None
    assert 55 <= (delivery.next_attempt_at - timezone.now()).total_seconds() <= 72
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 0 failed"  # it is not due yet
    make_due()
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
    first, second = receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    second.verify(secret_of(endpoint.secret_seed))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.error, delivery.response_excerpt) == ("delivered", 2, "", "")
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_after_the_last_attempt_a_delivery_has_failed_and_can_be_sent_again(
    subscribe: Subscribe, receiver: Receiver
) -> None:
    subscribe(receiver)
    receiver.replies = [answer(503)] * (len(RETRY_DELAYS) + 1)
    delivery = announce_version()
    for delay in RETRY_DELAYS:
        assert send_due_deliveries() == "0 delivered, 1 to repeat, 0 failed"
        delivery.refresh_from_db()
        assert delivery.next_attempt_at is not None
        seconds = (delivery.next_attempt_at - timezone.now()).total_seconds()
        assert 0.9 * delay <= seconds <= 1.2 * delay
        make_due()
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 1 failed"
    make_due()
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 0 failed"
    assert sum(RETRY_DELAYS) > 24 * 3600
    assert send_again([delivery]) == 1
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("delivered", 1)


def test_a_delivery_that_is_sent_again_during_its_last_attempt_gets_all_its_attempts(
    subscribe: Subscribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(*args: Any) -> http.WebhookAnswer:
        answer_of_receiver = http.post(*args)
        monkeypatch.undo()
        send_again([delivery])  # by an operator, before the outcome is stored
        return answer_of_receiver

    subscribe(receiver)
    delivery = announce_version()
    WebhookDelivery.objects.update(attempts=len(RETRY_DELAYS))
    receiver.replies = [answer(500)]
    monkeypatch.setattr(sending, "post", post)
    send_due_deliveries()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 0)
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
    assert len(receiver.received) == 2


def test_410_gone_deactivates_the_endpoint(subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    receiver.replies = [answer(410)]
    delivery = announce_version()
    announce_version()
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 1 failed"
    delivery.refresh_from_db()
    assert (delivery.status, delivery.error) == ("failed", "answered 410 Gone: the endpoint is deactivated")
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.gone_at is None) == (False, False)
    assert list(failing_endpoints()) == [endpoint]
    assert send_due_deliveries() == "0 delivered, 0 to repeat, 0 failed"  # the second one waits
    announce("version.published", DATA)
    assert WebhookDelivery.objects.count() == 2
    assert len(receiver.received) == 1


def test_a_redirect_is_not_followed(subscribe: Subscribe, receiver: Receiver) -> None:
    with run_receiver() as elsewhere:
        subscribe(receiver)
        receiver.replies = [answer(307, Location=elsewhere.url)]
        delivery = announce_version()
        send_due_deliveries()
        assert elsewhere.received == []
    delivery.refresh_from_db()
    assert (delivery.status, delivery.response_status) == ("pending", 307)
    assert delivery.error == "answered 307: redirects are not followed; enter the new address"


@pytest.mark.parametrize("reply", [hang(3), drip], ids=["silent", "a byte now and then"])
def test_a_receiver_that_takes_too_long_is_given_up(
    subscribe: Subscribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, reply: Any
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.5)
    subscribe(receiver)
    receiver.replies = [reply]
    delivery = announce_version()
    began = time.monotonic()
    assert send_due_deliveries() == "0 delivered, 1 to repeat, 0 failed"
    assert time.monotonic() - began < 2
    delivery.refresh_from_db()
    assert (delivery.error, delivery.response_status) == ("no answer within 0.5 seconds", None)


def test_all_addresses_of_a_receiver_share_the_time_of_an_attempt(
    subscribe: Subscribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = full.getsockname()
        for _ in range(3):  # the kernel ignores further connections until one of these is accepted
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 4
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
        monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.5)
        began = time.monotonic()
        with pytest.raises(http.NoWebhookAnswer, match=r"no answer within 0\.5 seconds"):
            http.post(receiver.url, {}, b"{}")
        assert time.monotonic() - began < 1
        answers.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port)))
        assert http.post(receiver.url, {}, b"{}").status == 204


def test_a_receiver_that_hangs_up_or_is_not_there_is_tried_again(subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    receiver.replies = [close]
    delivery = announce_version()
    send_due_deliveries()
    delivery.refresh_from_db()
    assert delivery.error == "RemoteDisconnected: Remote end closed connection without response"
    for url, error in {
        f"http://localhost:{free_port()}/": "ConnectionRefusedError: [Errno 111] Connection refused",
        "http://a..b/": "UnicodeError: ",
        f"https://localhost:{receiver.port}/": "SSLError: ",
    }.items():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(url=url)
        make_due()
        assert send_due_deliveries() == "0 delivered, 1 to repeat, 0 failed"
        delivery.refresh_from_db()
        assert delivery.error.startswith(error)
        assert delivery.status == "pending"


def test_a_huge_body_is_not_read_and_one_that_never_ends_is_no_failure(
    subscribe: Subscribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.5)
    subscribe(receiver)
    receiver.replies = [answer(200, b"x" * 50_000_000), answer(200, b"partly", Content_Length="100000")]
    for excerpt in ("x" * 1_000, "partly"):
        delivery = announce_version()
        assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
        delivery.refresh_from_db()
        assert (delivery.response_status, delivery.response_excerpt) == (200, excerpt)


def test_a_certificate_that_cannot_be_verified_is_refused(
    subscribe: Subscribe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with run_receiver(tls) as receiver:
        endpoint = subscribe(receiver)
        delivery = announce_version()
        send_due_deliveries()
        delivery.refresh_from_db()
        assert delivery.error.startswith("the certificate of localhost is not valid: self")
        assert receiver.received == []
        monkeypatch.setattr(http, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
        make_due()
        assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"
        receiver.received[0].verify(secret_of(endpoint.secret_seed))


def test_an_endpoint_that_fails_delays_no_other(subscribe: Subscribe, receiver: Receiver) -> None:
    with run_receiver() as failing:
        failing.replies = [answer(500)] * 10
        subscribe(failing, "failing")
        subscribe(receiver, "working")
        for _ in range(3):
            announce_version()
        assert send_due_deliveries() == "3 delivered, 1 to repeat, 0 failed"
        assert (len(failing.received), len(receiver.received)) == (1, 3)


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_send_the_same_delivery(subscribe: Subscribe, receiver: Receiver) -> None:
    subscribe(receiver)
    for _ in range(12):
        announce_version()

    def send() -> None:
        send_due_deliveries()
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert len(ids) == len(set(ids)) == 12
    assert WebhookDelivery.objects.filter(status="delivered", attempts=1).count() == 12


def test_a_delivery_that_is_being_sent_is_not_claimed_until_the_claim_expires(
    subscribe: Subscribe, receiver: Receiver
) -> None:
    subscribe(receiver)
    delivery = announce_version()
    row = WebhookDelivery.objects.filter(pk=delivery.pk)
    row.update(claimed_until=timezone.now() + timedelta(seconds=5), attempts=1)
    send_due_deliveries()
    assert receiver.received == []
    row.update(claimed_until=timezone.now())
    assert send_due_deliveries() == "1 delivered, 0 to repeat, 0 failed"


def test_after_a_rotation_both_secrets_verify_until_the_old_one_ends(subscribe: Subscribe, receiver: Receiver) -> None:
    endpoint = subscribe(receiver)
    old = secret_of(endpoint.secret_seed)
    new = rotate_secret(endpoint.pk)
    assert new != old
    announce_version()
    send_due_deliveries()
    WebhookEndpoint.objects.update(previous_until=timezone.now())
    announce_version()
    send_due_deliveries()
    during, after = receiver.received
    for secret in (old, new):
        during.verify(secret)
    after.verify(new)
    with pytest.raises(WebhookVerificationError):
        after.verify(old)


def test_neither_the_secret_nor_the_address_is_logged(
    subscribe: Subscribe, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = subscribe(receiver)
    receiver.replies = [answer(500), close]
    announce_version()
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            make_due()
            send_due_deliveries()
        rotate_secret(endpoint.pk)
    assert len(receiver.received) == 3
    for hidden in ("whsec_", secret_of(endpoint.secret_seed), endpoint.secret_seed, "app=1"):
        assert hidden not in caplog.text


def test_a_test_event_reaches_an_endpoint_that_subscribes_to_something_else(
    subscribe: Subscribe, receiver: Receiver
) -> None:
    endpoint = subscribe(receiver, event_types=["alarm.raised"])
    send_test_event(endpoint)
    send_due_deliveries()
    payload = receiver.received[0].verify(secret_of(endpoint.secret_seed))
    assert (payload["type"], payload["data"]) == ("webhook.test", {"endpoint": "app"})


def test_old_deliveries_are_deleted_by_the_next_run(subscribe: Subscribe, receiver: Receiver, settings: Any) -> None:
    subscribe(receiver)
    old, recent = announce_version(), announce_version()
    for delivery, days in ((old, 31), (recent, 29)):
        created = timezone.now() - timedelta(days=days)
        WebhookDelivery.objects.filter(pk=delivery.pk).update(created_at=created)
    settings.MUSICREC |= {"WEBHOOK_DAYS": 0}
    prune_deliveries()
    assert WebhookDelivery.objects.count() == 2
    settings.MUSICREC |= {"WEBHOOK_DAYS": 30}
    send_due_deliveries()
    assert list(WebhookDelivery.objects.all()) == [recent]


def test_beat_sends_every_minute(db: None) -> None:
    import_module("webhooks.migrations.0002_schedule").add(apps, None)  # tables may have been emptied
    schedule = PeriodicTask.objects.get(name="Webhooks")
    assert (schedule.task, str(schedule.interval)) == ("webhooks.send_deliveries", "every minute")
