"""What a query string asks for."""

from functools import lru_cache
from typing import NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from recommendations.api.serializers import PersonalParameters, SimilarParameters
from recommendations.serving.recommender import RequestOptions


class QueryParameters(NamedTuple):
    """user_id: named by a key that asks for similar tracks."""

    request: RequestOptions
    user_id: int | None


@lru_cache(maxsize=4096)
def parse_query(kind: str, query: str) -> QueryParameters:
    """Of a `Question.kind`; query: as WSGI has it. An app asks with the same few words all the time, and a serializer
    takes longer than all the rest. Raises ValidationError."""
    parameters = SimilarParameters if kind == "similar" else PersonalParameters
    found = parameters(data=QueryDict(query.encode("latin-1")).dict())
    if not found.is_valid():
        raise ValidationError({f"?{name}": said for name, said in found.errors.items()})
    fields = dict(found.validated_data)
    user_id = fields.pop("user_id", None)
    return QueryParameters(RequestOptions(**fields), user_id)
