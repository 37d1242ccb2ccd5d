from datetime import datetime

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline

from tracks.models import Album, Artist, Tag, Track, TrackTag


class TrackTagInline(TabularInline):  # type: ignore[misc]
    model = TrackTag
    autocomplete_fields = ["tag"]
    extra = 0


@admin.register(Track)
class TrackAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "title", "artist", "album", "duration_ms", "explicit", "taken_down_at", "external_id"]
    list_filter = ["explicit", ("taken_down_at", admin.EmptyFieldListFilter)]
    actions = ["take_down", "offer_again"]
    list_display_links = ["id", "title"]
    list_select_related = ["artist", "album"]
    search_fields = ["title", "artist__name", "external_id", "isrc"]
    autocomplete_fields = ["artist", "album"]
    inlines = [TrackTagInline]
    show_full_result_count = False

    @admin.action(description="Take down: offer these to nobody from now on", permissions=["change"])
    def take_down(self, request: HttpRequest, tracks: QuerySet[Track]) -> None:
        self._set(request, tracks.filter(taken_down_at=None), timezone.now(), "Taken down.")

    @admin.action(description="Offer these again", permissions=["change"])
    def offer_again(self, request: HttpRequest, tracks: QuerySet[Track]) -> None:
        self._set(request, tracks.exclude(taken_down_at=None), None, "Offered again.")

    def _set(self, request: HttpRequest, tracks: QuerySet[Track], at: datetime | None, said: str) -> None:
        changed = list(tracks)
        Track.objects.filter(pk__in=[t.pk for t in changed]).update(taken_down_at=at)
        for track in changed:
            self.log_change(request, track, said)
        self.message_user(request, f"{len(changed)} tracks: {said}", messages.SUCCESS)


@admin.register(Artist)
class ArtistAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "name", "external_id"]
    list_display_links = ["id", "name"]
    search_fields = ["name", "external_id"]
    show_full_result_count = False


@admin.register(Album)
class AlbumAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "title", "artist", "year", "external_id"]
    list_display_links = ["id", "title"]
    list_select_related = ["artist"]
    search_fields = ["title", "artist__name", "external_id"]
    autocomplete_fields = ["artist"]
    show_full_result_count = False


@admin.register(Tag)
class TagAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["name", "kind"]
    list_filter = ["kind"]
    search_fields = ["name"]
