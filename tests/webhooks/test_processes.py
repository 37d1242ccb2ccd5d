"""Webhooks of a whole installation: who sends them, and what happens when that process is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from musicrec.processes import ROOT
from tests.stack import new_stack
from tests.webhooks.receiver import Receiver, hang

pytestmark = pytest.mark.slow
PRODUCTION = os.environ.get("MUSICREC_TEST_STACK") == "production"
SEED = "ab" * 32
SUBSCRIBE = """
from webhooks.models import WebhookEndpoint
WebhookEndpoint.objects.create(name="app", url="{url}", event_types=["erasure.completed"], secret_seed="{seed}")
"""
# Of a type that nothing else announces: a server that starts without plays raises an alarm about its training run.
ANNOUNCE = "from webhooks.services import announce; announce('erasure.completed', {'user_id': 7})"
SEND = "from webhooks.sending import send_due_deliveries; print(send_due_deliveries())"
EXPIRE_CLAIMS = """
from django.utils import timezone
from webhooks.models import WebhookDelivery
WebhookDelivery.objects.update(claimed_until=timezone.now())
"""
STATE = "from webhooks.models import WebhookDelivery; d = WebhookDelivery.objects.get(); print(d.status, d.attempts)"


def wait_until(is_true: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_delivery_whose_process_is_killed_is_sent_again_after_a_while(tmp_path: Path, receiver: Receiver) -> None:
    stack = new_stack(tmp_path)
    stack.run_python(SUBSCRIBE.format(url=receiver.url, seed=SEED))
    stack.run_python(ANNOUNCE)
    receiver.replies = [hang(20)]
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", SEND]
    with subprocess.Popen(command, cwd=ROOT, env=stack.environment) as sender:
        wait_until(lambda: receiver.received, 60)
        sender.kill()
    assert stack.run_python(STATE) == "pending 1"
    assert stack.run_python(SEND) == "0 delivered, 0 to repeat, 0 failed"
    assert len(receiver.received) == 1
    stack.run_python(EXPIRE_CLAIMS)
    assert stack.run_python(SEND) == "1 delivered, 0 to repeat, 0 failed"
    assert stack.run_python(STATE) == "delivered 2"
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    secret = stack.run_python(f"from webhooks.signatures import secret_of; print(secret_of('{SEED}'))")
    assert second.verify(secret)["data"] == {"user_id": 7}


def test_a_running_installation_sends_webhooks_by_itself(tmp_path: Path, receiver: Receiver) -> None:
    """A worker does, as soon as the event is committed; without a broker, the web server does within seconds."""
    stack = new_stack(tmp_path)
    stack.run_python(SUBSCRIBE.format(url=receiver.url, seed=SEED))
    with stack.run_servers(worker=PRODUCTION, single_process=True):
        stack.run_python(ANNOUNCE)
        wait_until(lambda: receiver.received, 120)
        wait_until(lambda: stack.run_python(STATE) == "delivered 1", 60)
    assert len(receiver.received) == 1
