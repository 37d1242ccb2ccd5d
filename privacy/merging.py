"""Merge the anonymous listener of a device into an account, once, when the person behind it signs in.

Everything happens in one transaction that holds the rows of both listeners. An event that arrives meanwhile is
committed before it and moves along, or finds its listener gone, so that the phone is told and sends it again.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from access.devices import device_digest
from access.models import Device, ListenToken, User
from access.services import bump_user_revisions
from experiments.models import Slate
from interactions.bulk import retry_on_conflict
from interactions.imports.jobs import UNFINISHED
from interactions.merging import (
    merge_blocks,
    merge_exposures,
    merge_interactions,
    merge_latest_imports,
    merge_waiting_listens,
)
from interactions.models import HistoryImport
from interactions.taste.services import merge_declined_proposals, merge_exclusions, merge_sliders
from privacy.erasure import UnknownListener
from privacy.personal_data import personal_data_of
from recommendations.models import PolicyVersion, Radio

logger = logging.getLogger(__name__)


class UnknownDevice(Exception):
    """No anonymous listener belongs to this device id."""


class MergeRefused(Exception):
    """The listeners cannot be merged as things are; the message says why. Nothing was changed."""


@dataclass
class MergeReport:
    """What a merge moved. A repeated merge moves nothing and has the time of the first.

    Attributes:
        interactions: by how many the account has more now.
        duplicates: interactions that the account had already, by their event id or as reports of the same plays.
    """

    user_id: int
    merged_at: datetime
    interactions: int = 0
    duplicates: int = 0
    exposures: int = 0
    slates: int = 0
    blocks: int = 0
    waiting_listens: int = 0
    imports: int = 0


def merge_device(user_id: int, device_id: str) -> MergeReport:
    """Move everything of a device's anonymous listener into an account, and delete that listener.

    Raises:
        UnknownListener: there is no such account, or it is closed.
        UnknownDevice: the device has no listener.
        MergeRefused: it was merged into another account, is this account, or must not be merged now.
    """
    return retry_on_conflict(lambda: _merge_device(user_id, device_id))


def _merge_device(user_id: int, device_id: str) -> MergeReport:
    # The device is locked first, in the same order as in a sign-in of the device. A second merge waits here.
    device = Device.objects.select_for_update().filter(digest=device_digest(device_id)).first()
    listener_ids = [user_id] if device is None else sorted({user_id, device.user_id})
    locked = User.objects.select_for_update().filter(pk__in=listener_ids, is_active=True).order_by("pk").in_bulk()
    if (account := locked.get(user_id)) is None:
        raise UnknownListener
    if device is None or (source := locked.get(device.user_id)) is None:
        raise UnknownDevice
    if device.merged_at is not None:
        if source.pk != account.pk:
            raise MergeRefused("this device was merged into another account already")
        return MergeReport(account.pk, device.merged_at)
    _check_merge(account, source)

    report = MergeReport(account.pk, timezone.now())
    report.interactions, report.duplicates = merge_interactions(source.pk, account.pk)
    merge_exclusions(source.pk, account.pk)
    merge_sliders(source.pk, account.pk)
    merge_declined_proposals(source.pk, account.pk)
    report.waiting_listens = merge_waiting_listens(source.pk, account.pk)
    report.exposures = merge_exposures(source.pk, account.pk)
    report.blocks = merge_blocks(source.pk, account.pk)
    report.slates = Slate.objects.filter(user=source).update(user=account)
    Radio.objects.filter(user=source).update(user=account)
    PolicyVersion.objects.filter(author=source).update(author=account)
    report.imports = HistoryImport.objects.filter(user=source).update(user=account)
    ListenToken.objects.filter(user=source).update(user=account)  # a scrobbler on the phone continues
    merge_latest_imports(source.pk, account.pk)
    Device.objects.filter(user=source).update(user=account, merged_at=report.merged_at)
    for model, row_filter in personal_data_of(source.pk).items():  # such as sign-ins, and duplicates
        model._base_manager.filter(row_filter).delete()
    source.delete()
    bump_user_revisions([account.pk])
    logger.info("an anonymous listener was merged into listener %s: %s", account.pk, report)
    return report


def _check_merge(account: User, source: User) -> None:
    if source.pk == account.pk:
        raise MergeRefused("this is the device's own listener; sign in to an account, and merge with its token")
    if source.is_staff or source.is_superuser:
        raise MergeRefused("the device's listener is an operator's account")
    if not account.consent:
        raise MergeRefused("the account's consent is off: turn it on to take the device's history along, or erase it")
    if not source.consent:
        raise MergeRefused(
            "the consent of the device's listener is off: turn it on to take its history along, or erase it"
        )
    if HistoryImport.objects.filter(user=source, status__in=UNFINISHED).exists():
        raise MergeRefused("an import of the device's listener is not finished; merge when it is")
