"""Secrets of endpoints and signatures of deliveries, as the Standard Webhooks specification defines them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from datetime import datetime
from hashlib import sha256

from django.utils.crypto import salted_hmac

from webhooks.models import WebhookEndpoint


def secret_of(seed: str) -> str:
    """Compute a secret from its seed and `SECRET_KEY`."""
    return f"whsec_{base64.b64encode(_key_of(seed)).decode()}"


def sign_delivery(endpoint: WebhookEndpoint, event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that identify and sign a delivery.

    For a while after a rotation there are two signatures, so that a receiver can change to the new secret in its time.
    """
    seeds = [endpoint.secret_seed]
    if endpoint.previous_until and endpoint.previous_until > at:
        seeds.append(endpoint.previous_seed)
    timestamp = str(int(at.timestamp()))
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    signatures = [base64.b64encode(hmac.digest(_key_of(seed), signed, sha256)).decode() for seed in seeds]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _key_of(seed: str) -> bytes:
    return salted_hmac("webhooks.secret", seed, algorithm="sha256").digest()
