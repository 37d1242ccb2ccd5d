from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.webhooks.receiver import Receiver, run_receiver
from webhooks.models import WebhookEndpoint, WebhookEventType


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def subscribe(db: None) -> Callable[..., WebhookEndpoint]:
    def create(receiver: Receiver, name: str = "app", **fields: Any) -> WebhookEndpoint:
        fields = {"event_types": list(WebhookEventType.values), "url": receiver.url} | fields
        return WebhookEndpoint.objects.create(name=name, **fields)

    return create
