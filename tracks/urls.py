from django.urls import path

from tracks.pages.views import AlbumTracksView, ArtistAlbumsView, ArtistTracksView, NewReleasesView
from tracks.search.views import SearchViewSet
from tracks.vector_views import TrackVectorView, VectorsView
from tracks.views import AlbumsView, AlbumView, ArtistsView, ArtistView, TracksView, TrackView

urlpatterns = [
    path("search", SearchViewSet.as_view({"get": "search"}), name="search"),
    path("search/tracks", SearchViewSet.as_view({"get": "search_tracks"}), name="search-tracks"),
    path("search/artists", SearchViewSet.as_view({"get": "search_artists"}), name="search-artists"),
    path("search/albums", SearchViewSet.as_view({"get": "search_albums"}), name="search-albums"),
    path("tracks", TracksView.as_view(), name="tracks"),
    path("tracks/<str:track_id>", TrackView.as_view(), name="track"),
    path("tracks/<str:track_id>/vectors/<str:name>", TrackVectorView.as_view(), name="track-vector"),
    path("vectors/<str:name>", VectorsView.as_view(), name="vectors"),
    path("artists", ArtistsView.as_view(), name="artists"),
    path("artists/<str:artist_id>", ArtistView.as_view(), name="artist"),
    path("artists/<str:artist_id>/tracks", ArtistTracksView.as_view(), name="artist-tracks"),
    path("artists/<str:artist_id>/albums", ArtistAlbumsView.as_view(), name="artist-albums"),
    path("albums", AlbumsView.as_view(), name="albums"),
    path("albums/<str:album_id>", AlbumView.as_view(), name="album"),
    path("albums/<str:album_id>/tracks", AlbumTracksView.as_view(), name="album-tracks"),
    path("new-releases", NewReleasesView.as_view(), name="new-releases"),
]
