"""What a query string asks for."""

from functools import lru_cache
from typing import NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from recommendations.api.serializers import PersonalParameters, SimilarParameters
from recommendations.serving.recommender import Request


class Parsed(NamedTuple):
    """user_id: named by a key that asks for similar tracks."""

    request: Request
    user_id: int | None


@lru_cache(maxsize=4096)
def parsed(kind: str, query: str) -> Parsed:
    """Of a `Question.kind`; query: as WSGI has it. An app asks with the same few words all the time, and a serializer
    takes longer than all the rest. Raises ValidationError."""
    parameters = SimilarParameters if kind == "similar" else PersonalParameters
    found = parameters(data=QueryDict(query.encode("latin-1")).dict())
    if not found.is_valid():
        raise ValidationError({f"?{name}": said for name, said in found.errors.items()})
    fields = dict(found.validated_data)
    user_id = fields.pop("user_id", None)
    return Parsed(Request(**fields), user_id)
