"""Anonymous listeners: a phone without an account signs in by a secret of its own, its device id."""

import hashlib
import secrets

from django.db import IntegrityError, transaction

from access.models import Device, User
from access.sign_ins import TokenPair, sign_in

MAX_ATTEMPTS = 3


def device_digest(device_id: str) -> str:
    """Return the SHA-256 that a device is stored and found by."""
    return hashlib.sha256(device_id.encode()).hexdigest()


def sign_in_device(device_id: str) -> TokenPair:
    """Sign a device in as its anonymous listener, who is created by the first request.

    A device whose listener was merged into an account, or is being erased, gets another one.
    """
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        try:
            return _sign_in_device(device_digest(device_id))
        except IntegrityError:  # the same device asked at the same moment, or its listener was erased
            if not attempts_left or transaction.get_connection().in_atomic_block:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _sign_in_device(digest: str) -> TokenPair:
    # Locked, so that a merge of this device either is over or begins after this sign-in, which it then ends.
    device = Device.objects.select_for_update(of=("self",)).select_related("user").filter(digest=digest).first()
    if device is not None and device.merged_at is None and device.user.is_active:
        return sign_in(device.user)
    user = User(username=f"device-{secrets.token_hex(8)}")
    user.set_unusable_password()
    user.save(force_insert=True)
    if device is None:
        Device.objects.create(digest=digest, user=user)
    else:
        Device.objects.filter(pk=device.pk).update(user=user, merged_at=None)
    return sign_in(user)
