"""A row that cannot be read is replaced by the version before it, and the operator is told."""

from dataclasses import replace
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.pipeline import PERSONAL, POLICIES
from recommendations.models import Alarm, PolicyVersion
from recommendations.policies.documents import policy_content
from recommendations.policies.in_use import load_policies_in_use, parse_policies_in_use
from recommendations.policies.services import save_policy, use_policy
from tests.people import CatalogueFactory

VARIED = replace(PERSONAL, dials=replace(PERSONAL.dials, diversity=0.65))


def break_row(content: Any) -> None:
    """Replace the content of personal@2, as if another release had written it."""
    PolicyVersion.objects.filter(name="personal", version=2).update(content=content)


@pytest.fixture
def two_versions(db: None) -> None:
    for number, policy in enumerate((VARIED, replace(VARIED, candidates=100)), 1):
        save_policy(policy)
        use_policy("personal", number)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (policy_content(VARIED) | {"mood": 1}, "mood: is unknown"),
        (policy_content(VARIED) | {"dials": {"diversity": 4}}, "dials.diversity: must be a number from 0 to 1, not 4"),
        (policy_content(VARIED) | {"sources": [{"source": "oracle", "weight": 1}]}, "sources: there is no candidate"),
        ([], "content: must be a JSON object, not list"),
        ({}, "sources: is missing"),
    ],
)
def test_the_version_before_answers_in_place_of_an_unreadable_one(
    two_versions: None, content: Any, message: str
) -> None:
    break_row(content)
    assert load_policies_in_use() == POLICIES | {"personal": replace(VARIED, version=1)}
    alarm = Alarm.objects.get(kind="policy_unreadable", resolved_at=None)
    assert alarm.subject == "personal@2"
    assert alarm.message.startswith(message)
    assert alarm.message.endswith("personal@1 is used instead. Save the policy anew, or return to another version")


def test_without_another_readable_version_the_built_in_one_answers(two_versions: None) -> None:
    PolicyVersion.objects.update(content={"mood": 1})
    assert load_policies_in_use() == POLICIES
    assert "personal is used instead" in Alarm.objects.get(kind="policy_unreadable").message


def test_the_alarm_is_resolved_once_all_rows_can_be_read(two_versions: None) -> None:
    break_row({"mood": 1})
    load_policies_in_use()
    use_policy("personal", 1)
    assert load_policies_in_use()["personal"].version == 1
    assert not Alarm.objects.filter(resolved_at=None).exists()


def test_the_same_rows_are_parsed_once(two_versions: None) -> None:
    assert load_policies_in_use() is load_policies_in_use()
    break_row({"mood": 1})
    for _ in range(3):
        load_policies_in_use()
    assert Alarm.objects.get(kind="policy_unreadable").count == 1


def test_an_unreadable_row_is_no_error_for_listeners(
    service: APIClient, alice: User, catalogue: CatalogueFactory, two_versions: None
) -> None:
    catalogue.tracks(3)
    break_row({"mood": 1})
    answer = service.get(f"/recommend/user/{alice.pk}/ml")
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 3


def test_the_policies_in_use_cannot_be_changed_in_place(db: None) -> None:
    with pytest.raises(TypeError):
        parse_policies_in_use(None)["personal"] = VARIED  # type: ignore[index]
