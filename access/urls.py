from django.urls import path

from access.listener_views import ListenerByExternalIdView, ListenersView
from access.views import DeviceTokenView, ListenerTokenView, TokenRefreshView, TokenRevokeView, TokenView

urlpatterns = [
    path("token", TokenView.as_view(), name="token"),
    path("token/device", DeviceTokenView.as_view(), name="device-token"),
    path("token/refresh", TokenRefreshView.as_view(), name="refresh-token"),
    path("token/revoke", TokenRevokeView.as_view(), name="revoke-token"),
    path("listeners", ListenersView.as_view(), name="listeners"),
    path("listeners/<str:external_id>", ListenerByExternalIdView.as_view(), name="listener-by-external-id"),
    path("listeners/<str:listener_id>/token", ListenerTokenView.as_view(), name="mint-token"),
]
