from django.urls import path

from interactions.views import EventViewSet

urlpatterns = [path("events", EventViewSet.as_view({"post": "create"}), name="events")]
