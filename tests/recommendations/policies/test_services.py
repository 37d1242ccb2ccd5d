"""Versions of policies are saved once and for all, and one of each name is in use."""

import re
from dataclasses import replace

import pytest

from access.models import User
from engine.pipeline import PERSONAL, POLICIES
from engine.policy import Caps, Dials, Policy
from recommendations.models import PolicyVersion
from recommendations.policies.documents import compare_policies, policy_content
from recommendations.policies.in_use import load_policies_in_use
from recommendations.policies.selectors import (
    UnknownPolicy,
    find_policy,
    find_policy_by_label,
    find_served_policy,
    policy_names,
    version_in_use,
)
from recommendations.policies.services import CannotSavePolicy, save_policy, use_policy

VARIED = replace(PERSONAL, dials=replace(PERSONAL.dials, diversity=0.65))
CAPPED = replace(VARIED, caps=Caps(per_artist=1))


def rows() -> list[tuple[str, int, bool]]:
    return list(PolicyVersion.objects.order_by("name", "version").values_list("name", "version", "in_use"))


def test_each_saving_adds_a_version_that_is_not_in_use(alice: User) -> None:
    first = save_policy(VARIED, note="more variety", author=alice)
    second = save_policy(replace(CAPPED, version=7))
    assert rows() == [("personal", 1, False), ("personal", 2, False)]
    assert (first.note, first.author, second.note, second.author) == ("more variety", alice, "", None)
    assert find_policy("personal", 1) == replace(VARIED, version=1)
    assert find_policy("personal", 2) == replace(CAPPED, version=2)
    assert load_policies_in_use() == POLICIES


def test_the_order_of_the_sources_survives_the_database(db: None) -> None:
    sources = {"personal": 1.0, "neighbours": 0.5, "popular": 0.0, "early": 0.1}
    save_policy(replace(PERSONAL, sources=sources))
    assert list(find_policy("personal", 1).sources.items()) == list(sources.items())


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (replace(PERSONAL, name="Für alle"), "name: must be 1 to 64 lower-case letters, digits and _"),
        (replace(PERSONAL, sources={"oracle": 1.0}), "sources: there is no candidate source 'oracle'; use one of "),
        (replace(PERSONAL, fill=("oracle",)), "fill: there is no candidate source 'oracle'"),
        (PERSONAL, "nothing differs from personal as built in; change a value first"),
    ],
)
def test_a_wrong_policy_is_not_saved(db: None, policy: Policy, message: str) -> None:
    with pytest.raises(CannotSavePolicy, match=re.escape(message)):
        save_policy(policy)
    assert rows() == []


def test_a_policy_that_equals_the_newest_version_is_not_saved_again(db: None) -> None:
    save_policy(VARIED)
    with pytest.raises(CannotSavePolicy, match="nothing differs from personal@1"):
        save_policy(VARIED)
    save_policy(CAPPED)
    save_policy(VARIED)
    assert rows() == [("personal", 1, False), ("personal", 2, False), ("personal", 3, False)]


def test_one_version_of_a_name_is_in_use_and_the_built_in_one_can_be_returned_to(db: None) -> None:
    save_policy(VARIED)
    save_policy(CAPPED)
    save_policy(replace(POLICIES["popular"], fill=()))
    for name, version in (("personal", 2), ("popular", 1), ("personal", 1)):
        use_policy(name, version)
    assert rows() == [("personal", 1, True), ("personal", 2, False), ("popular", 1, True)]
    assert load_policies_in_use()["personal"] == replace(VARIED, version=1)
    assert load_policies_in_use()["popular"].fill == ()
    assert use_policy("personal", 0) == PERSONAL
    assert rows() == [("personal", 1, False), ("personal", 2, False), ("popular", 1, True)]
    assert load_policies_in_use()["personal"] is PERSONAL
    assert version_in_use("personal") == 0


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("personal", 2, "there is no version 2 of a policy 'personal'"),
        ("calm", 0, "no policy 'calm' is built in; built in are personal, early, popular, similar, repeats, radio"),
    ],
)
def test_an_unknown_version_does_not_go_into_use(db: None, name: str, version: int, message: str) -> None:
    save_policy(VARIED)
    use_policy("personal", 1)
    with pytest.raises(UnknownPolicy, match=message):
        use_policy(name, version)
    assert rows() == [("personal", 1, True)]


def test_a_version_that_this_release_cannot_read_does_not_go_into_use(db: None) -> None:
    PolicyVersion.objects.create(name="personal", version=1, content=policy_content(PERSONAL) | {"mood": 1})
    with pytest.raises(UnknownPolicy, match="personal@1 cannot be read by this release: mood: is unknown"):
        use_policy("personal", 1)
    assert rows() == [("personal", 1, False)]


def test_labels_name_a_version_or_the_one_in_use(db: None) -> None:
    save_policy(VARIED)
    save_policy(CAPPED)
    save_policy(replace(VARIED, name="calm"))
    use_policy("personal", 1)
    assert find_policy_by_label("personal") == replace(VARIED, version=1)
    assert find_policy_by_label("personal@2") == replace(CAPPED, version=2)
    assert find_policy_by_label("personal@0") == PERSONAL
    assert find_policy_by_label("calm").label == "calm@1"  # nothing is in use: no request gets it
    assert find_served_policy("early") is POLICIES["early"]
    for label in ("", "personal@", "personal@x", "other", "personal@9"):
        with pytest.raises(UnknownPolicy):
            find_policy_by_label(label)
    assert policy_names() == [*POLICIES, "calm"]


def test_the_difference_of_two_policies_names_each_field(db: None) -> None:
    policy = Policy("personal", {"personal": 1.0, "neighbours": 0.0}, fill=("popular", "random"))
    other = Policy(
        "personal",
        {"personal": 1.0, "popular": 0.2},
        fill=("random",),
        may_repeat=False,
        dials=Dials(diversity=0.4),
        caps=Caps(per_artist=1),
    )
    assert compare_policies(policy, other) == [
        ("sources.neighbours", "0", "–"),
        ("fill", "popular, random", "random"),
        ("may_repeat", "yes", "no"),
        ("dials.diversity", "0", "0.4"),
        ("caps.per_artist", "2", "1"),
        ("sources.popular", "–", "0.2"),
    ]
    assert compare_policies(other, other) == []
