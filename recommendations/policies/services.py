"""Save versions of policies, and choose the one in use."""

import re

from django.db import IntegrityError, transaction
from django.utils import timezone

from access.models import User
from engine.pipeline import POLICIES, Policy, check_sources
from recommendations.models import PolicyVersion
from recommendations.policies.documents import policy_content
from recommendations.policies.selectors import BUILT_IN, UnknownPolicy, find_policy

MAX_ATTEMPTS = 5  # to take a version number that nobody else takes at the same time
MAX_NOTE = 512
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class CannotSavePolicy(Exception):
    """The policy is wrong or adds nothing; the message names the field. Nothing was saved."""


def save_policy(policy: Policy, *, note: str = "", author: User | None = None) -> PolicyVersion:
    """Save a policy as the next version of its name, whatever its own version. It is not in use yet.

    Raises:
        CannotSavePolicy: its name is not one, a source is unknown, the note is too long, or it is the same as the
            newest version.
    """
    if not NAME.fullmatch(policy.name):
        raise CannotSavePolicy("name: must be 1 to 64 lower-case letters, digits and _, beginning with a letter")
    if len(note) > MAX_NOTE:
        raise CannotSavePolicy(f"note: has {len(note)} characters; it may have {MAX_NOTE}")
    try:
        check_sources(policy)
    except ValueError as error:
        raise CannotSavePolicy(str(error)) from error
    content = policy_content(policy)
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        newest = PolicyVersion.objects.filter(name=policy.name).order_by("-version").first()
        built_in = POLICIES.get(policy.name)
        before = newest.content if newest else built_in and policy_content(built_in)
        if content == before:
            same = newest or f"{policy.name} as built in"
            raise CannotSavePolicy(f"nothing differs from {same}; change a value first")
        try:
            with transaction.atomic():
                return PolicyVersion.objects.create(
                    name=policy.name,
                    version=newest.version + 1 if newest else 1,
                    content=content,
                    note=note,
                    author=author,
                )
        except IntegrityError:  # somebody else has just saved a version with this number
            if not attempts_left:
                raise
    raise AssertionError("unreachable")


def use_policy(name: str, version: int) -> Policy:
    """Make a version the one in use; version 0 returns to the policy that is built in.

    Raises:
        UnknownPolicy: it does not exist, or this release cannot read it. Nothing has changed then.
    """
    policy = find_policy(name, version)
    with transaction.atomic():
        # Locking all versions of the name lets two operators take turns instead of violating the constraint.
        rows = {row.version: row for row in PolicyVersion.objects.select_for_update().filter(name=name).order_by("pk")}
        if version != BUILT_IN and version not in rows:
            raise UnknownPolicy(f"there is no version {version} of a policy {name!r}")
        PolicyVersion.objects.filter(name=name, in_use=True).exclude(version=version).update(in_use=False)
        if version != BUILT_IN and not rows[version].in_use:
            PolicyVersion.objects.filter(pk=rows[version].pk).update(in_use=True, used_at=timezone.now())
    return policy
