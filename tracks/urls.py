from django.urls import path

from tracks.search.views import SearchViewSet
from tracks.views import TrackViewSet

urlpatterns = [
    path("search", SearchViewSet.as_view({"get": "search"}), name="search"),
    path("search/tracks", SearchViewSet.as_view({"get": "search_tracks"}), name="search-tracks"),
    path("search/artists", SearchViewSet.as_view({"get": "search_artists"}), name="search-artists"),
    path("search/albums", SearchViewSet.as_view({"get": "search_albums"}), name="search-albums"),
    path("tracks", TrackViewSet.as_view({"get": "find"}), name="find-track"),
    path("tracks/<str:track_id>", TrackViewSet.as_view({"get": "retrieve"}), name="track"),
]
