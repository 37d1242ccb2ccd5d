from functools import lru_cache
from typing import NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from recommendations.api.serializers import PersonalParameters, SimilarParameters
from recommendations.serving.request_context import RecommendationRequest


class QueryParameters(NamedTuple):
    """The parsed query string of a recommendation view.

    Attributes:
        request: without the listener and the track.
        user_id: the listener named by a service key that asks for similar tracks.
    """

    request: RecommendationRequest
    user_id: int | None


@lru_cache(maxsize=4096)
def parse_query(kind: str, query_string: str) -> QueryParameters:
    """Parse and validate a query string.

    Apps send the same few query strings all the time, and running a serializer takes longer than everything else in a
    cached answer, so the results are kept.

    Args:
        kind: the kind of the request.
        query_string: as in the WSGI environment.

    Raises:
        ValidationError: naming each wrong parameter as `?name`.
    """
    serializer_class = SimilarParameters if kind == "similar" else PersonalParameters
    serializer = serializer_class(data=QueryDict(query_string.encode("latin-1")).dict())
    if not serializer.is_valid():
        raise ValidationError({f"?{name}": errors for name, errors in serializer.errors.items()})
    options = dict(serializer.validated_data)
    user_id = options.pop("user_id", None)
    return QueryParameters(RecommendationRequest(kind, **options), user_id)
