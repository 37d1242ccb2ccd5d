from django.urls import path

from recommendations.views import RecommendViewSet
from recommendations.views_batch import BatchView
from recommendations.views_listeners import ErasureView, ListenerExportView, ListenerView

urlpatterns = [
    path("recommend/user/<str:user_id>/ml", RecommendViewSet.as_view({"get": "personal"}), name="recommend"),
    path("recommend/similar/<int:track_id>", RecommendViewSet.as_view({"get": "similar"}), name="similar"),
    path("recommend/batch", BatchView.as_view(), name="recommend-batch"),
    path("recommend/user/<str:user_id>", RecommendViewSet.as_view({"get": "legacy"}), name="recommend-legacy"),
    path("users/<str:user_id>", ListenerView.as_view(), name="listener"),
    path("users/<str:user_id>/export", ListenerExportView.as_view(), name="export-listener"),
    path("erasures/<uuid:receipt>", ErasureView.as_view(), name="erasure"),
]
