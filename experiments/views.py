from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from experiments.selectors import engagement_by
from experiments.serializers import EngagementParameters, EngagementSerializer


class EngagementView(APIView):
    """What came of what was shown."""

    required_scope = Scope.METRICS
    service_only = True

    @extend_schema(operation_id="engagement", parameters=[EngagementParameters], responses=EngagementSerializer)
    def get(self, request: Request) -> Response:
        """Clicks, plays, skips, listening time and who came back, as rates with 95 % intervals."""
        begin, end, by = EngagementParameters.read(request)
        return Response({"from": begin, "to": end, "results": engagement_by(begin, end, by)})
