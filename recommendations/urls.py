from django.urls import path

from recommendations.views import RecommendViewSet

urlpatterns = [
    path("recommend/user/<str:user_id>/ml", RecommendViewSet.as_view({"get": "personal"}), name="recommend"),
    path("recommend/similar/<int:track_id>", RecommendViewSet.as_view({"get": "similar"}), name="similar"),
    path("recommend/user/<str:user_id>", RecommendViewSet.as_view({"get": "legacy"}), name="recommend-legacy"),
]
