from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from experiments.selectors import engagement_by
from experiments.serializers import EngagementParameters, EngagementSerializer


class EngagementView(APIView):
    """How listeners reacted to what they were shown."""

    required_scope = Scope.METRICS
    service_only = True

    @extend_schema(operation_id="engagement", parameters=[EngagementParameters], responses=EngagementSerializer)
    def get(self, request: Request) -> Response:
        """Return clicks, plays, skips, listening time and returning listeners, as rates with 95 % intervals."""
        begin, end, dimensions = EngagementParameters.read(request)
        return Response({"from": begin, "to": end, "results": engagement_by(begin, end, dimensions)})
