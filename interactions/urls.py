from django.urls import path, register_converter
from django.urls.converters import StringConverter

from interactions.events.views import EventViewSet
from interactions.imports.views import HistoryImportsView, HistoryImportView
from interactions.listenbrainz.views import SubmitListensView, ValidateTokenView
from interactions.models import BlockKind
from interactions.preferences.views import BlocksViewSet, DislikesViewSet, LikesViewSet, PreferencesViewSet


class BlockKindConverter(StringConverter):
    regex = "|".join(BlockKind.values)


register_converter(BlockKindConverter, "block_kind")

urlpatterns = [
    path("1/submit-listens", SubmitListensView.as_view(), name="submit-listens"),
    path("1/validate-token", ValidateTokenView.as_view(), name="validate-token"),
    path("events", EventViewSet.as_view({"post": "create"}), name="events"),
    path("users/<str:user_id>/imports", HistoryImportsView.as_view(), name="imports"),
    path("users/<str:user_id>/imports/<uuid:import_id>", HistoryImportView.as_view(), name="import"),
    path("users/<str:user_id>/preferences", PreferencesViewSet.as_view({"get": "retrieve"}), name="preferences"),
    path(
        "users/<str:user_id>/likes/<str:track_id>",
        LikesViewSet.as_view({"put": "put", "delete": "delete"}),
        name="likes",
    ),
    path(
        "users/<str:user_id>/dislikes/<str:track_id>",
        DislikesViewSet.as_view({"put": "put", "delete": "delete"}),
        name="dislikes",
    ),
    path(
        "users/<str:user_id>/blocks/<block_kind:kind>/<str:target_id>",
        BlocksViewSet.as_view({"put": "put", "delete": "delete"}),
        name="blocks",
    ),
]
