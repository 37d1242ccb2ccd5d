from django.contrib import admin
from unfold.admin import ModelAdmin, TabularInline

from tracks.models import Album, Artist, Tag, Track, TrackTag


class TrackTagInline(TabularInline):  # type: ignore[misc]
    model = TrackTag
    autocomplete_fields = ["tag"]
    extra = 0


@admin.register(Track)
class TrackAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "title", "artist", "album", "duration_ms", "tempo", "external_id"]
    list_display_links = ["id", "title"]
    list_select_related = ["artist", "album"]
    search_fields = ["title", "artist__name", "external_id", "isrc"]
    autocomplete_fields = ["artist", "album"]
    inlines = [TrackTagInline]
    show_full_result_count = False


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
