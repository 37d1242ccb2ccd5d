from functools import lru_cache
from typing import Any, NamedTuple

from rest_framework.serializers import Serializer

from common.http.query_parameters import parse_parameters
from common.http.references import ExternalId
from recommendations.api.serializers import GenreParameters, PersonalParameters, PopularParameters, SimilarParameters
from recommendations.serving.request_context import RecommendationRequest

# By the action of the view. Other methods are refused later.
PARAMETERS: dict[str, type[Serializer[Any]]] = {
    "personal": PersonalParameters,
    "legacy": PopularParameters,
    "similar": SimilarParameters,
    "genre": GenreParameters,
}
KINDS = {"genre": "personal"}  # of requests, where they are not called like the action


class QueryParameters(NamedTuple):
    """The parsed query string of a recommendation view.

    Attributes:
        request: without the listener and the track.
        user_id: the listener named by a service key that asks for similar tracks, or for those of a genre.
    """

    request: RecommendationRequest
    user_id: int | ExternalId | None


@lru_cache(maxsize=4096)
def parse_query(action: str, query_string: str) -> QueryParameters:
    """Parse and validate a query string.

    Apps send the same few query strings all the time, and running a serializer takes longer than everything else in a
    cached answer, so the results are kept.

    Args:
        action: of the view.
        query_string: as in the WSGI environment.

    Raises:
        ValidationError: naming each wrong parameter as `?name`.
    """
    options = parse_parameters(PARAMETERS.get(action, PersonalParameters), query_string)
    user_id = options.pop("user_id", None)
    if "kind" in options:  # of similarity
        options["similarity"] = options.pop("kind")
    return QueryParameters(RecommendationRequest(KINDS.get(action, action), **options), user_id)
