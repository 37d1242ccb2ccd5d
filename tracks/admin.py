from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline

from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.services import (
    bump_catalogue_revision,
    delete_from_catalogue,
    lock_catalogue,
    save_album,
    save_artist,
    save_track,
    set_taken_down,
)


class CatalogueAdmin(ModelAdmin):  # type: ignore[misc]
    """Bump the catalogue's revision with each change."""

    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        lock_catalogue()
        super().save_model(request, obj, form, change)

    def save_related(self, *args: Any, **kwargs: Any) -> None:
        """Save the inlines. The admin calls this after every `save_model`, in the same transaction."""
        super().save_related(*args, **kwargs)
        bump_catalogue_revision()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_from_catalogue(type(obj).objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        delete_from_catalogue(queryset)


class TrackTagInline(TabularInline):  # type: ignore[misc]
    model = TrackTag
    autocomplete_fields = ["tag"]
    extra = 0


@admin.register(Track)
class TrackAdmin(CatalogueAdmin):
    list_display = [
        *("id", "title", "artist", "album", "released_on", "duration_ms", "explicit", "taken_down_at", "external_id"),
    ]
    list_filter = ["explicit", ("taken_down_at", admin.EmptyFieldListFilter)]
    actions = ["take_down", "offer_again"]
    list_display_links = ["id", "title"]
    list_select_related = ["artist", "album"]
    search_fields = ["title", "artist__name", "external_id", "isrc"]
    autocomplete_fields = ["artist", "album"]
    inlines = [TrackTagInline]

    def save_model(self, request: HttpRequest, obj: Track, form: Any, change: bool) -> None:
        save_track(obj)

    @admin.action(description="Take down: do not recommend these tracks", permissions=["change"])
    def take_down(self, request: HttpRequest, tracks: QuerySet[Track]) -> None:
        self._set_taken_down(request, tracks.filter(taken_down_at=None), timezone.now(), "Taken down.")

    @admin.action(description="Offer these tracks again", permissions=["change"])
    def offer_again(self, request: HttpRequest, tracks: QuerySet[Track]) -> None:
        self._set_taken_down(request, tracks.exclude(taken_down_at=None), None, "Offered again.")

    def _set_taken_down(
        self, request: HttpRequest, queryset: QuerySet[Track], taken_down_at: datetime | None, message: str
    ) -> None:
        tracks = list(queryset)
        set_taken_down([track.pk for track in tracks], taken_down_at)
        for track in tracks:
            self.log_change(request, track, message)
        self.message_user(request, f"{len(tracks)} tracks: {message}", messages.SUCCESS)


@admin.register(Artist)
class ArtistAdmin(CatalogueAdmin):
    list_display = ["id", "name", "external_id"]
    list_display_links = ["id", "name"]
    search_fields = ["name", "external_id"]

    def save_model(self, request: HttpRequest, obj: Artist, form: Any, change: bool) -> None:
        save_artist(obj)


@admin.register(Album)
class AlbumAdmin(CatalogueAdmin):
    list_display = ["id", "title", "artist", "year", "released_on", "external_id"]
    list_display_links = ["id", "title"]
    list_select_related = ["artist"]
    search_fields = ["title", "artist__name", "external_id"]
    autocomplete_fields = ["artist"]

    def save_model(self, request: HttpRequest, obj: Album, form: Any, change: bool) -> None:
        save_album(obj)


@admin.register(Tag)
class TagAdmin(CatalogueAdmin):
    list_display = ["name", "kind"]
    list_filter = ["kind"]
    search_fields = ["name"]
