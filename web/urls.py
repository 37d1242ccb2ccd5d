from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from web.views import listener_page

urlpatterns = [
    path("", listener_page, name="listener-page"),
    # Browsers request this on pages that name no icon, such as those of the admin.
    path("favicon.ico", RedirectView.as_view(url=static("web/favicon.svg")), name="favicon"),
]
