from typing import Any

from django.contrib import admin
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from common.admin import ReadOnlyAdmin
from interactions.models import Block, Exclusion, Exposure, HistoryImport, Interaction, Slider, UnmatchedListen
from interactions.services import delete_interactions, save_interaction


@admin.register(Interaction)
class InteractionAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["played_at", "user", "track", "kind", "plays", "milestone", "is_skip", "context", "source"]
    list_select_related = ["user", "track"]
    list_filter = ["kind", "is_completed", "is_skip", "left_out", "clock"]
    search_fields = ["user__username", "track__title"]
    autocomplete_fields = ["user", "track"]
    ordering = ["-played_at"]
    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: Interaction, form: Any, change: bool) -> None:
        save_interaction(obj)

    def delete_model(self, request: HttpRequest, obj: Interaction) -> None:
        delete_interactions(Interaction.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Interaction]) -> None:
        delete_interactions(queryset)


@admin.register(Exposure)
class ExposureAdmin(ReadOnlyAdmin):
    list_display = ["occurred_at", "user", "track", "kind", "position", "context", "recommendation_id"]
    list_select_related = ["user", "track"]
    list_filter = ["kind", "clock"]
    search_fields = ["user__username", "track__title"]
    ordering = ["-occurred_at"]


@admin.register(Block)
class BlockAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "kind", "target_id", "until"]
    list_select_related = ["user"]
    list_filter = ["kind"]
    search_fields = ["user__username"]
    ordering = ["-created_at"]


@admin.register(Exclusion)
class ExclusionAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "kind", "track", "name", "since", "until"]
    list_select_related = ["user", "track"]
    list_filter = ["kind"]
    search_fields = ["user__username"]
    ordering = ["-created_at"]


@admin.register(Slider)
class SliderAdmin(ReadOnlyAdmin):
    list_display = ["user", "kind", "target_id", "value"]
    list_select_related = ["user"]
    list_filter = ["kind"]
    search_fields = ["user__username"]
    ordering = ["user", "kind", "target_id"]


@admin.register(UnmatchedListen)
class UnmatchedListenAdmin(ReadOnlyAdmin):
    """The tracks that listeners play but the catalogue does not have, by artist and title, the most played first."""

    list_display = ["artist", "title", "listens", "listeners"]
    list_display_links = None
    search_fields = ["artist", "title"]

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-_listens", "match_key"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnmatchedListen]:
        """Return the first row of each match key, annotated with the counts of all rows that have the key."""
        first_ids = UnmatchedListen.objects.values("match_key").annotate(first=Min("pk")).values("first")
        same_key = UnmatchedListen.objects.filter(match_key=OuterRef("match_key")).order_by().values("match_key")
        return UnmatchedListen.objects.filter(pk__in=first_ids).annotate(
            _listens=Subquery(same_key.annotate(n=Count("pk")).values("n")),
            _listeners=Subquery(same_key.annotate(n=Count("user", distinct=True)).values("n")),
        )

    @admin.display(ordering="_listens")
    def listens(self, listen: Any) -> int:
        return int(listen._listens)

    @admin.display(ordering="_listeners")
    def listeners(self, listen: Any) -> int:
        return int(listen._listeners)


@admin.register(HistoryImport)
class HistoryImportAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "format", "status", "added", "known", "unmatched", "refused", "finished_at"]
    list_select_related = ["user"]
    list_filter = ["status", "format"]
    search_fields = ["user__username"]
    ordering = ["-created_at"]
