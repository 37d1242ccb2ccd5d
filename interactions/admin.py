from django.contrib import admin
from unfold.admin import ModelAdmin

from interactions.models import Interaction


@admin.register(Interaction)
class InteractionAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["played_at", "user", "track", "kind", "plays", "milestone", "is_completed", "context", "source"]
    list_select_related = ["user", "track"]
    list_filter = ["kind", "is_completed"]
    search_fields = ["user__username", "track__title"]
    autocomplete_fields = ["user", "track"]
    ordering = ["-played_at"]
    show_full_result_count = False
