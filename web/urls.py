from django.urls import path

from web.views import listener_page

urlpatterns = [
    path("", listener_page, name="listener-page"),
]
