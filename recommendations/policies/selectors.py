"""Read policies and their versions."""

import re

from django.db.models import QuerySet

from engine.pipeline import POLICIES, Policy
from recommendations.models import PolicyVersion
from recommendations.policies.documents import UNREADABLE, parse_policy
from recommendations.policies.in_use import load_policies_in_use

BUILT_IN = 0
_LABEL = re.compile(r"(?P<name>[^@]+)(@(?P<version>\d{1,9}))?")


class UnknownPolicy(Exception):
    """There is no such policy or version, or this release cannot read it; the message says which."""


def find_policy(name: str, version: int) -> Policy:
    """Return a version of a policy; version 0 is the one that is built in. Raises UnknownPolicy."""
    if version == BUILT_IN:
        if name not in POLICIES:
            raise UnknownPolicy(f"no policy {name!r} is built in; built in are {', '.join(POLICIES)}")
        return POLICIES[name]
    row = PolicyVersion.objects.filter(name=name, version=version).first()
    if row is None:
        raise UnknownPolicy(f"there is no version {version} of a policy {name!r}")
    try:
        return parse_policy(name, version, row.content)
    except UNREADABLE as error:
        raise UnknownPolicy(f"{row} cannot be read by this release: {error}") from error


def find_policy_by_label(label: str) -> Policy:
    """Return the policy of a label such as "personal@3"; without a version, the one in use. Raises UnknownPolicy."""
    match = _LABEL.fullmatch(label)
    if match is None:
        raise UnknownPolicy(f"{label!r} is not a policy; write NAME or NAME@VERSION, such as personal@3")
    name, version = match["name"], match["version"]
    return find_served_policy(name) if version is None else find_policy(name, int(version))


def find_served_policy(name: str) -> Policy:
    """Return the policy that requests get under a name; for a name that no request gets, its newest version.

    Raises:
        UnknownPolicy: there is none, or this release cannot read it.
    """
    if policy := load_policies_in_use().get(name):
        return policy
    newest = versions_of(name).first()
    return find_policy(name, newest.version if newest else BUILT_IN)


def version_in_use(name: str) -> int:
    """Return the version of a policy that is in use; 0 for the one that is built in."""
    row = PolicyVersion.objects.filter(name=name, in_use=True).first()
    return row.version if row else BUILT_IN


def policy_names() -> list[str]:
    """Return the names of all policies: those that are built in, then the others."""
    others = PolicyVersion.objects.order_by("name").values_list("name", flat=True).distinct()
    return list(dict.fromkeys([*POLICIES, *others]))


def versions_of(name: str) -> QuerySet[PolicyVersion]:
    """Return the versions of a policy in the database, the newest first."""
    return PolicyVersion.objects.filter(name=name).select_related("author").order_by("-version")
