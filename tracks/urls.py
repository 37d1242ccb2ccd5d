from django.urls import path

from tracks.views import TrackViewSet

urlpatterns = [path("tracks/<int:track_id>", TrackViewSet.as_view({"get": "retrieve"}), name="track")]
