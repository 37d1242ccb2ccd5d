from functools import lru_cache
from typing import Any, NamedTuple

from rest_framework.serializers import Serializer

from common.http.query_parameters import parse_parameters
from common.http.references import ExternalId
from recommendations.api.serializers import PersonalParameters, PopularParameters, SimilarParameters
from recommendations.serving.request_context import RecommendationRequest

# By the kind of the request, which is the action of the view. Other methods are refused later.
PARAMETERS: dict[str, type[Serializer[Any]]] = {
    "personal": PersonalParameters,
    "legacy": PopularParameters,
    "similar": SimilarParameters,
}


class QueryParameters(NamedTuple):
    """The parsed query string of a recommendation view.

    Attributes:
        request: without the listener and the track.
        user_id: the listener named by a service key that asks for similar tracks.
    """

    request: RecommendationRequest
    user_id: int | ExternalId | None


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
    options = parse_parameters(PARAMETERS.get(kind, PersonalParameters), query_string)
    user_id = options.pop("user_id", None)
    if "kind" in options:  # of similarity; the kind of the request is the action of the view
        options["similarity"] = options.pop("kind")
    return QueryParameters(RecommendationRequest(kind, **options), user_id)
