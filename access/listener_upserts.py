"""Create and update listeners by the app's own ids. A repetition changes nothing."""

from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction

from access.models import User
from access.selectors import erased_external_ids
from access.services import bump_user_revisions, make_username, new_revision
from common.http.upserts import UpsertOutcome

ERASED = "this listener was erased on request, and is not created again"
CLOSED = "this account is closed; an operator can open it in the admin"
OPERATOR = "this is an operator's account; change it in the admin"


def change_settings(user: User, changes: dict[str, Any]) -> bool:
    """Change settings of a listener whose row the caller has read, and return whether any of them has another value."""
    changes = {name: value for name, value in changes.items() if getattr(user, name) != value}
    if changes:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(**changes)
            bump_user_revisions([user.pk])
    return bool(changes)


@transaction.atomic
def upsert_listeners(items: Sequence[dict[str, Any]]) -> list[UpsertOutcome]:
    """Create the listeners that do not exist, and change the settings of the others.

    Of two calls at once for one new listener, one creates the row, and the other waits and updates it. Accounts of
    operators are refused, and so are listeners who were erased.

    Args:
        items: each with `external_id`, which none has twice, and the settings to change.
    """
    settings = {item["external_id"]: {k: v for k, v in item.items() if k != "external_id"} for item in items}
    revision = new_revision()  # tells the rows of this call from those that others create at the same moment
    erased = _create_missing(settings, revision)
    # In order of id and after the inserts, as everywhere, so that two transactions cannot deadlock.
    rows = User.objects.select_for_update(no_key=True).filter(external_id__in=settings).order_by("pk")
    users = {user.external_id: user for user in rows}
    outcomes: dict[str, UpsertOutcome] = {}
    changed: list[User] = []
    for external_id, values in settings.items():
        user = users.get(external_id)
        if user is None:
            outcomes[external_id] = _refuse(ERASED)
        elif user.revision == revision:
            outcomes[external_id] = UpsertOutcome("created", user.pk)
        elif user.is_staff or user.is_superuser:
            outcomes[external_id] = _refuse(OPERATOR)
        elif not user.is_active:
            outcomes[external_id] = _refuse(ERASED if external_id in erased else CLOSED)
        elif all(getattr(user, name) == value for name, value in values.items()):
            outcomes[external_id] = UpsertOutcome("unchanged", user.pk)
        else:
            for name, value in values.items():
                setattr(user, name, value)
            changed.append(user)
            outcomes[external_id] = UpsertOutcome("updated", user.pk)
    if changed:
        User.objects.bulk_update(changed, ["consent", "market", "allow_explicit", "display_name"])
        bump_user_revisions(user.pk for user in changed)
    return [outcomes[item["external_id"]] for item in items]


def _create_missing(settings: dict[str, dict[str, Any]], revision: int) -> set[str]:
    """Insert the listeners that do not exist, and return the external ids of those who were erased."""
    missing = set(settings) - _existing(settings)
    # Read after the rows: a listener who is being erased is found here or there.
    erased = erased_external_ids(settings)
    missing -= erased
    password = make_password(None)  # unusable
    for is_retry in (False, True):
        if not missing:
            break
        # Conflicts are ignored: another process may have created the same listener, or the user name belongs to
        # somebody else. The retry uses a distinct name. All writers insert in the order of user names, so that two
        # transactions cannot deadlock.
        users = [
            User(
                external_id=external_id,
                username=make_username(external_id, distinct=is_retry),
                password=password,
                revision=revision,
                **settings[external_id],
            )
            for external_id in missing
        ]
        User.objects.bulk_create(sorted(users, key=lambda user: user.username), ignore_conflicts=True)
        missing -= _existing(missing)
    return erased


def _existing(external_ids: Collection[str]) -> set[str]:
    rows = User.objects.filter(external_id__in=external_ids)
    return {str(external_id) for external_id in rows.values_list("external_id", flat=True)}


def _refuse(reason: str) -> UpsertOutcome:
    return UpsertOutcome("rejected", errors={"external_id": reason})
