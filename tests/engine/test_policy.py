import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from engine.policy import Caps, Dials, Policy

POLICY = Policy(
    "late night",
    {"personal": 1.0, "content": 0.25, "repeat": 0},
    candidates=50,
    fill=("popular", "random"),
    may_repeat=False,
    dials=Dials(familiarity=0.3, diversity=0.1),
    caps=Caps(per_artist=1, artist_gap=3),
    version=4,
)


def test_a_policy_survives_json_and_pickling() -> None:
    document = json.loads(json.dumps(POLICY.to_dict(), sort_keys=True))  # databases do not keep the order of keys
    assert Policy.from_dict(document) == POLICY
    assert list(Policy.from_dict(document).sources) == ["personal", "content", "repeat"]
    assert pickle.loads(pickle.dumps(POLICY)) == POLICY
    assert document["sources"][1] == {"source": "content", "weight": 0.25}
    assert POLICY.main_source == "personal"
    assert POLICY.source_names == ("personal", "content", "repeat", "popular", "random")


def test_fields_that_a_document_lacks_have_their_defaults() -> None:
    document = {"name": "p", "sources": [{"source": "popular", "weight": 1}], "dials": {"novelty": 0.5}}
    assert Policy.from_dict(document) == Policy("p", {"popular": 1}, dials=Dials(novelty=0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name: must be a text"),
        ({"sources": {"popular": 1}}, "sources: must be a list"),
        ({"sources": []}, "sources: must map at least one"),
        ({"sources": [{"source": "popular"}]}, "sources.0: must be an object"),
        ({"sources": 2 * [{"source": "popular", "weight": 1}]}, "sources.1.source: must be the name of another"),
        ({"sources": [{"source": "popular", "weight": -1}]}, "sources.popular: the weight must be from 0"),
        ({"sources": [{"source": "popular", "weight": float("nan")}]}, "sources.popular: the weight"),
        ({"candidates": 0}, "candidates: must be a whole number from 1 to 2,000, not 0"),
        ({"candidates": 2001}, "candidates: "),
        ({"head": -1}, "head: must be a whole number from 0 to 200, not -1"),
        ({"fill": "popular"}, "fill: must be a list"),
        ({"may_repeat": 1}, "may_repeat: must be true or false, not 1"),
        ({"version": -1}, "version: "),
        ({"dials": {"familiarity": 1.1}}, "dials.familiarity: must be a number from 0 to 1, not 1.1"),
        ({"dials": {"repeat_after_hours": -1}}, "dials.repeat_after_hours: must be a number from 0 to 8760"),
        ({"dials": {"mood": 1}}, "dials.mood: is unknown; the fields are familiarity"),
        ({"dials": []}, "dials: must be an object"),
        ({"caps": {"per_artist": 1.5}}, "caps.per_artist: must be a whole number from 0 to 200, not 1.5"),
        ({"caps": {"window": 0}}, "caps.window: must be a whole number from 1"),
        ({"caps": {"merge_recordings": None}}, "caps.merge_recordings: must be true or false"),
        ({"caps": {"new_artist_share": "0.1"}}, "caps.new_artist_share: must be a number from 0 to 1"),
        ({"mood": 1}, "mood: is unknown; the fields are name"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Policy.from_dict(POLICY.to_dict() | change)


def test_a_document_without_name_or_sources_is_refused() -> None:
    for name in ("name", "sources"):
        with pytest.raises(ValueError, match=f"^{name}: is missing"):
            Policy.from_dict({k: v for k, v in POLICY.to_dict().items() if k != name})


def test_a_policy_can_be_changed_in_a_copy_only() -> None:
    weights = {"popular": 1.0}
    policy = Policy("p", weights)
    weights["random"] = 1.0
    assert replace(policy, version=1).sources == {"popular": 1.0}
