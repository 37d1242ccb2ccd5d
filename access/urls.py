from django.urls import path

from access.views import DeviceTokenView, ListenersView, ListenerTokenView, TokenRefreshView, TokenRevokeView, TokenView

urlpatterns = [
    path("token", TokenView.as_view(), name="token"),
    path("token/device", DeviceTokenView.as_view(), name="device-token"),
    path("token/refresh", TokenRefreshView.as_view(), name="refresh-token"),
    path("token/revoke", TokenRevokeView.as_view(), name="revoke-token"),
    path("listeners", ListenersView.as_view(), name="find-listener"),
    path("listeners/<str:listener_id>/token", ListenerTokenView.as_view(), name="mint-token"),
]
