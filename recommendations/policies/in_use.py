"""The policies in use: those that are built in, and the versions of the database that take their place.

The rows in use are read by the query that loads the context of a request. So every process answers by a new version
from the next request on, and nothing has to be announced, polled or invalidated.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import orjson

from common.prepared_queries import RowsAsJson
from engine.pipeline import POLICIES, Policy
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import PolicyVersion
from recommendations.policies.documents import UNREADABLE, parse_policy

POLICY_UNREADABLE = "policy_unreadable"
Policies = Mapping[str, Policy]
_COLUMNS = ("name", "version", "content")


def policies_in_use_subquery() -> RowsAsJson:
    """Return a subquery for the rows in use, to be parsed by `parse_policies_in_use`."""
    return RowsAsJson(PolicyVersion.objects.filter(in_use=True).order_by("name").values(*_COLUMNS), _COLUMNS)


def load_policies_in_use() -> Policies:
    """Return the policies in use by name, read from the database."""
    rows = PolicyVersion.objects.filter(in_use=True).order_by("name").values_list(*_COLUMNS)
    return parse_policies_in_use(orjson.dumps(list(rows)).decode())


@lru_cache(maxsize=32)
def parse_policies_in_use(column: str | None) -> Policies:
    """Return the policies in use by name. The same text is parsed once.

    A row that this release cannot read, because another one wrote it, raises an alarm; the version that was in use
    before it answers instead, or else the one that is built in.
    """
    policies, unreadable = dict(POLICIES), []
    for name, version, stored in orjson.loads(column or "[]"):
        try:
            # SQLite has no type for JSON: there the content is a text inside of the list.
            policies[name] = parse_policy(name, version, orjson.loads(stored) if isinstance(stored, str) else stored)
        except UNREADABLE as error:
            if previous := _find_previous(name, version):
                policies[name] = previous
            label = f"{name}@{version}"
            unreadable.append(label)
            substitute = policies[name].label if name in policies else "nothing"
            remedy = f"{substitute} is used instead. Save the policy anew, or return to another version"
            raise_alarm(POLICY_UNREADABLE, label, f"{error}; {remedy}")
    resolve_alarms(POLICY_UNREADABLE, except_subjects=unreadable)
    return MappingProxyType(policies)


def _find_previous(name: str, version: int) -> Policy | None:
    """Return the readable version that was in use last, apart from `version`; None if there is none."""
    used = PolicyVersion.objects.filter(name=name, used_at__isnull=False).exclude(version=version)
    for row in used.order_by("-used_at"):
        try:
            return parse_policy(name, row.version, row.content)
        except UNREADABLE:
            continue
    return None
