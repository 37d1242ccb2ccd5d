from django.urls import path

from tracks.views import TrackViewSet

urlpatterns = [
    path("tracks", TrackViewSet.as_view({"get": "find"}), name="find-track"),
    path("tracks/<str:track_id>", TrackViewSet.as_view({"get": "retrieve"}), name="track"),
]
