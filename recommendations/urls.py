from django.urls import path

from recommendations.api.batch_views import BatchView
from recommendations.api.group_views import GroupView
from recommendations.api.mix_views import HomeView, MixesView
from recommendations.api.page_views import NextPageView
from recommendations.api.training_views import TrainingRunsView, TrainingRunView
from recommendations.api.views import RecommendViewSet
from recommendations.audiomuse.views import FindPathView, SimilarArtistsView, SimilarTracksView
from recommendations.discovery.views import ArtistsLikeView, RecommendedArtistsView, RecommendedGenresView
from recommendations.radio.path_views import TrackPathView
from recommendations.radio.views import NextTracksView, RadiosView, RadioView

urlpatterns = [
    path("api/similar_tracks", SimilarTracksView.as_view(), name="similar-tracks"),
    path("api/similar_artists", SimilarArtistsView.as_view(), name="similar-artists"),
    path("api/find_path", FindPathView.as_view(), name="find-path"),
    path("users/<str:user_id>/mixes", MixesView.as_view(), name="mixes"),
    path("users/<str:user_id>/home", HomeView.as_view(), name="home"),
    path("training-runs", TrainingRunsView.as_view(), name="training-runs"),
    path("training-runs/<int:training_run_id>", TrainingRunView.as_view(), name="training-run"),
    path("path", TrackPathView.as_view(), name="track-path"),
    path("radio", RadiosView.as_view(), name="radios"),
    path("radio/<uuid:radio_id>", RadioView.as_view(), name="radio"),
    path("radio/<uuid:radio_id>/next", NextTracksView.as_view(), name="radio-next"),
    path("recommend/user/<str:user_id>/ml", RecommendViewSet.as_view({"get": "personal"}), name="recommend"),
    path("recommend/similar/<str:track_id>", RecommendViewSet.as_view({"get": "similar"}), name="similar"),
    path("recommend/genre/<path:name>", RecommendViewSet.as_view({"get": "genre"}), name="recommend-genre"),
    path("users/<str:user_id>/artists", RecommendedArtistsView.as_view(), name="recommended-artists"),
    path("users/<str:user_id>/genres", RecommendedGenresView.as_view(), name="recommended-genres"),
    path("artists/<str:artist_id>/similar", ArtistsLikeView.as_view(), name="artists-like"),
    path("recommend/batch", BatchView.as_view(), name="recommend-batch"),
    path("recommend/group", GroupView.as_view(), name="recommend-group"),
    path("recommend/user/<str:user_id>", RecommendViewSet.as_view({"get": "legacy"}), name="recommend-legacy"),
    path("recommendations/<uuid:recommendation_id>/next", NextPageView.as_view(), name="next-page"),
]
