from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from common.http.query_parameters import ApiView
from experiments.selectors import engagement_by
from experiments.serializers import EngagementParameters, EngagementSerializer


class EngagementView(ApiView):
    """How listeners reacted to what they were shown."""

    schema_tag = "Operations"
    required_scope = Scope.METRICS
    service_only = True
    query_parameters = {"get": EngagementParameters}

    @extend_schema(operation_id="read_engagement", responses=EngagementSerializer)
    def get(self, request: Request) -> Response:
        """Return clicks, plays, skips, listening time and returning listeners, as rates with 95 % intervals."""
        begin, end, dimensions = EngagementParameters.read(request)
        return Response({"from": begin, "to": end, "results": engagement_by(begin, end, dimensions)})
