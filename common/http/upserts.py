"""PUT, which creates an object or updates the fields that are sent: its bodies, and the answer to many at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError

from common.http.body_serializers import StrictSerializer
from common.http.json import check_structure, escape_unstorable
from common.http.problems import flatten_errors
from common.http.query_parameters import MAX_NAME_LENGTH, MAX_REPORTED
from common.http.references import MAX_LENGTH, InvalidReference, parse_external_id

MAX_ITEMS = 1_000


class UpsertSerializer(StrictSerializer):
    """The body of an object that is created or updated: an absent field stays as it is, and null clears it.

    A field that can be cleared has `required=False, allow_null=True`. `cleared_values` has the values that stand for
    null in columns that are never null, by field. `validated_data` has the fields that were sent, and no others.
    """

    null_is_absent = False
    cleared_values: ClassVar[Mapping[str, Any]] = {}

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        return {name: self.cleared_values.get(name) if value is None else value for name, value in values.items()}


class ExternalIdField(serializers.CharField):
    """The app's own id of an object, in a body; `external:` before it is accepted, as in references."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **({"help_text": "The app's own id."} | kwargs))

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_external_id(super().to_internal_value(data)).text
        except InvalidReference as error:
            raise ValidationError(str(error)) from error


@dataclass(frozen=True)
class UpsertOutcome:
    """The result of writing one object: its id, or the reasons for refusing it, by field."""

    status: Literal["created", "updated", "unchanged", "rejected"]
    pk: int | None = None
    errors: Mapping[str, Any] = field(default_factory=dict)


def upsert_items(
    body: Any,
    name: str,
    id_name: str,
    serializer: UpsertSerializer,
    write: Callable[[list[dict[str, Any]]], Sequence[UpsertOutcome]],
) -> dict[str, Any]:
    """Validate each item of a bulk body, write the valid ones, and return the answer.

    Args:
        body: the decoded body, `{name: [item, …]}`; see `ListBodyParser`.
        name: the name of the list, as in the path.
        id_name: the name of the ids in the answer, for example `track_id`.
        serializer: of one item, with a field `external_id`.
        write: a service that takes the validated items and returns an outcome for each.

    Raises:
        ValidationError: the body is not such a list, or has no items or too many.
    """
    items = _read_items(body, name)
    errors: dict[int, Any] = {}
    valid: dict[int, dict[str, Any]] = {}
    first_index: dict[str, int] = {}
    for index, item in enumerate(items):
        try:
            if isinstance(item, dict | list):
                check_structure(item)
            values = serializer.run_validation(item)
        except APIException as error:
            errors[index] = error.detail
            continue
        external_id = values["external_id"]
        if (first := first_index.setdefault(external_id, index)) != index:
            errors[index] = {"external_id": f"item {first} has the same external_id; send each one once"}
        else:
            valid[index] = values
    outcomes = dict(zip(valid, write(list(valid.values())), strict=True)) if valid else {}
    errors |= {index: outcome.errors for index, outcome in outcomes.items() if outcome.status == "rejected"}
    statuses = [outcome.status for outcome in outcomes.values()]
    return {
        "created": statuses.count("created"),
        "updated": statuses.count("updated"),
        "unchanged": statuses.count("unchanged"),
        "rejected": [
            {
                "index": index,
                "external_id": _external_id(items[index]),
                "errors": [
                    {key: escape_unstorable(text) for key, text in error.items()}
                    for error in flatten_errors(errors[index], f"#/{name}/{index}")
                ],
            }
            for index in sorted(errors)
        ],
        "results": [
            {"index": index, "external_id": valid[index]["external_id"], id_name: outcome.pk}
            for index, outcome in outcomes.items()
            if outcome.status != "rejected"
        ],
    }


def _read_items(body: Any, name: str) -> list[Any]:
    if not isinstance(body, dict) or name not in body:
        raise ValidationError({"": f"the body must be an object with the list {name}"})
    if unknown := [escape_unstorable(key)[:MAX_NAME_LENGTH] for key in body if key != name]:
        raise ValidationError(dict.fromkeys(unknown[:MAX_REPORTED], f"unknown field; this body accepts {name}"))
    items = body[name]
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise ValidationError({name: f"must be a list of 1 to {MAX_ITEMS} objects"})
    return items


def _external_id(item: Any) -> str | None:
    """Return the external id of an item that may be invalid, for the client to recognise it."""
    external_id = item.get("external_id") if isinstance(item, dict) else None
    return escape_unstorable(str(external_id)[:MAX_LENGTH]) if isinstance(external_id, str | int) else None


class ItemProblemSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="The place in the body, as `#/tracks/3/isrc`.")
    detail = serializers.CharField(help_text="What is wrong and what to do.")


class RejectedItemSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The item's index in the list, from 0.")
    external_id = serializers.CharField(allow_null=True)
    errors = ItemProblemSerializer(many=True)  # type: ignore[assignment]  # DRF takes fields out of the class


class BulkAnswerSerializer(serializers.Serializer[Any]):
    """The answer to a bulk PUT. A subclass adds `results`: index, external id and id of each object written."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rejected = RejectedItemSerializer(many=True)
