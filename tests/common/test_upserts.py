"""The bodies of PUT and the answers of bulk PUT, which listeners and the catalogue share."""

from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from common.http.upserts import ExternalIdField, UpsertOutcome, UpsertSerializer, upsert_items

pytestmark = pytest.mark.one_stack


class CitySerializer(UpsertSerializer):
    cleared_values = {"nickname": ""}

    external_id = ExternalIdField()
    name = serializers.CharField(max_length=10)
    nickname = serializers.CharField(required=False, allow_null=True)
    people = serializers.IntegerField(required=False, allow_null=True)


def store(cities: list[dict[str, Any]]) -> list[UpsertOutcome]:
    """Refuse cities called Atlantis, and pretend to know Rome."""
    refused = UpsertOutcome("rejected", errors={"name": "Atlantis has sunk"})
    outcomes = {"Atlantis": refused, "Rome": UpsertOutcome("updated", 7), "Pisa": UpsertOutcome("unchanged", 8)}
    return [outcomes.get(city["name"], UpsertOutcome("created", 9)) for city in cities]


def upsert(*cities: Any) -> dict[str, Any]:
    return upsert_items({"cities": list(cities)}, "cities", "city_id", CitySerializer(), store)


def test_an_absent_field_is_absent_and_null_clears() -> None:
    values = CitySerializer().run_validation({"external_id": "r", "name": "Rome"})
    assert values == {"external_id": "r", "name": "Rome"}
    values = CitySerializer().run_validation({"external_id": "r", "name": "Rome", "nickname": None, "people": None})
    assert values == {"external_id": "r", "name": "Rome", "nickname": "", "people": None}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"mayor": "X"}, {"mayor": "unknown field; this body accepts external_id, name, nickname, people"}),
        ({"external_id": ""}, {"external_id": ["must not be empty or consist of spaces; send a text"]}),
        (
            {"external_id": "x" * 129},
            {"external_id": ["the external id has 129 characters; it may have 128"]},
        ),
    ],
)
def test_an_invalid_object_names_the_field_and_the_remedy(fields: dict[str, Any], error: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        CitySerializer().run_validation({"external_id": "r", "name": "Rome"} | fields)
    assert refusal.value.detail == error


def test_an_external_id_may_have_the_prefix_of_references() -> None:
    values = CitySerializer().run_validation({"external_id": "external:r", "name": "Rome"})
    assert values == {"external_id": "r", "name": "Rome"}


def test_the_answer_counts_the_items_and_lists_their_ids() -> None:
    answer = upsert(
        {"external_id": "r", "name": "Rome"}, {"external_id": "p", "name": "Pisa"}, {"external_id": 5, "name": "Bari"}
    )
    assert answer == {
        "created": 1,
        "updated": 1,
        "unchanged": 1,
        "rejected": [],
        "results": [
            {"index": 0, "external_id": "r", "city_id": 7},
            {"index": 1, "external_id": "p", "city_id": 8},
            {"index": 2, "external_id": "5", "city_id": 9},
        ],
    }


def test_an_invalid_item_does_not_affect_the_others() -> None:
    deep: list[Any] = []
    for _ in range(20):
        deep = [deep]
    answer = upsert(
        {"external_id": "a", "name": "Atlantis"},
        {"external_id": "x", "name": "half an emoji \ud83d"},
        {"external_id": "y", "name": "Nice", "\udc80": 1},
        "no object",
        deep,
        {"external_id": "r", "name": "Rome"},
        {"external_id": "r", "name": "Roma"},
        {"name": "Lost"},
    )
    assert answer["results"] == [{"index": 5, "external_id": "r", "city_id": 7}]
    rejected = [(r["index"], r["external_id"], *(e["pointer"] for e in r["errors"])) for r in answer["rejected"]]
    assert rejected == [
        (0, "a", "#/cities/0/name"),
        (1, "x", "#/cities/1/name", "#/cities/1/name"),
        (2, "y", "#/cities/2/\\udc80"),
        (3, None, "#/cities/3"),
        (4, None, "#/cities/4"),
        (6, "r", "#/cities/6/external_id"),
        (7, None, "#/cities/7/external_id"),
    ]
    details = {r["index"]: r["errors"][0]["detail"] for r in answer["rejected"]}
    assert details[0] == "Atlantis has sunk"
    assert details[6] == "item 5 has the same external_id; send each one once"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], {"": "the body must be an object with the list cities"}),
        ({}, {"": "the body must be an object with the list cities"}),
        ({"cities": [], "towns": []}, {"towns": "unknown field; this body accepts cities"}),
        ({"cities": []}, {"cities": "must be a list of 1 to 1000 objects"}),
        ({"cities": [{}] * 1001}, {"cities": "must be a list of 1 to 1000 objects"}),
        ({"cities": {"name": "Rome"}}, {"cities": "must be a list of 1 to 1000 objects"}),
    ],
)
def test_a_body_that_is_no_such_list_is_refused(body: Any, error: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        upsert_items(body, "cities", "city_id", CitySerializer(), store)
    assert refusal.value.detail == error
