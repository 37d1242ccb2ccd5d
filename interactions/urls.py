from django.urls import path, register_converter
from django.urls.converters import StringConverter

from interactions.charts.views import TrackChartView
from interactions.events.views import EventViewSet
from interactions.imports.views import HistoryImportsView, HistoryImportView
from interactions.listenbrainz.feedback_views import (
    FeedbackForRecordingsView,
    RecordingFeedbackView,
    UserFeedbackView,
)
from interactions.listenbrainz.history_views import (
    LatestImportView,
    ListenCountView,
    ListensView,
    PlayingNowView,
)
from interactions.listenbrainz.views import SubmitListensView, ValidateTokenView
from interactions.lists.views import BlockListView, DislikeListView, HistoryView, LikeListView
from interactions.models import BlockKind, SliderKind
from interactions.preferences.views import BlocksViewSet, DislikesViewSet, LikesViewSet, PreferencesViewSet
from interactions.taste.views import (
    ExclusionsView,
    ExclusionView,
    ProposalsView,
    ProposalView,
    SliderView,
    TasteProfileView,
)


class BlockKindConverter(StringConverter):
    regex = "|".join(BlockKind.values)


class SliderKindConverter(StringConverter):
    regex = "|".join(SliderKind.values)


register_converter(BlockKindConverter, "block_kind")
register_converter(SliderKindConverter, "slider_kind")

urlpatterns = [
    path("1/submit-listens", SubmitListensView.as_view(), name="submit-listens"),
    path("1/validate-token", ValidateTokenView.as_view(), name="validate-token"),
    path("1/latest-import", LatestImportView.as_view(), name="latest-import"),
    path("1/user/<str:user_name>/listens", ListensView.as_view(), name="listens"),
    path("1/user/<str:user_name>/listen-count", ListenCountView.as_view(), name="listen-count"),
    path("1/user/<str:user_name>/playing-now", PlayingNowView.as_view(), name="playing-now"),
    path("1/feedback/recording-feedback", RecordingFeedbackView.as_view(), name="recording-feedback"),
    path("1/feedback/user/<str:user_name>/get-feedback", UserFeedbackView.as_view(), name="user-feedback"),
    path(
        "1/feedback/user/<str:user_name>/get-feedback-for-recordings",
        FeedbackForRecordingsView.as_view(),
        name="feedback-for-recordings",
    ),
    path("events", EventViewSet.as_view({"post": "create"}), name="events"),
    path("users/<str:user_id>/imports", HistoryImportsView.as_view(), name="imports"),
    path("users/<str:user_id>/imports/<uuid:import_id>", HistoryImportView.as_view(), name="import"),
    path("charts/tracks", TrackChartView.as_view(), name="track-chart"),
    path("users/<str:user_id>/history", HistoryView.as_view(), name="history"),
    path("users/<str:user_id>/likes", LikeListView.as_view(), name="like-list"),
    path("users/<str:user_id>/dislikes", DislikeListView.as_view(), name="dislike-list"),
    path("users/<str:user_id>/blocks", BlockListView.as_view(), name="block-list"),
    path("users/<str:user_id>/preferences", PreferencesViewSet.as_view({"get": "retrieve"}), name="preferences"),
    path("users/<str:user_id>/taste", TasteProfileView.as_view(), name="taste"),
    path(
        "users/<str:user_id>/taste/sliders/<slider_kind:kind>/<str:target_id>",
        SliderView.as_view(),
        name="slider",
    ),
    path("users/<str:user_id>/taste/proposals", ProposalsView.as_view(), name="proposals"),
    path("users/<str:user_id>/taste/proposals/<str:proposal_id>", ProposalView.as_view(), name="proposal"),
    path("users/<str:user_id>/taste/exclusions", ExclusionsView.as_view(), name="exclusions"),
    path("users/<str:user_id>/taste/exclusions/<int:exclusion_id>", ExclusionView.as_view(), name="exclusion"),
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
