from django.urls import path

from recommendations.api.batch_views import BatchView
from recommendations.api.page_views import NextPageView
from recommendations.api.views import RecommendViewSet

urlpatterns = [
    path("recommend/user/<str:user_id>/ml", RecommendViewSet.as_view({"get": "personal"}), name="recommend"),
    path("recommend/similar/<str:track_id>", RecommendViewSet.as_view({"get": "similar"}), name="similar"),
    path("recommend/batch", BatchView.as_view(), name="recommend-batch"),
    path("recommend/user/<str:user_id>", RecommendViewSet.as_view({"get": "legacy"}), name="recommend-legacy"),
    path("recommendations/<uuid:recommendation_id>/next", NextPageView.as_view(), name="next-page"),
]
