from typing import Any

from rest_framework import serializers

from importers import histories
from interactions.models import HistoryImport

FORMATS = [histories.AUTO, *histories.HISTORY_IMPORTERS]


class FormatParameter(serializers.Serializer[Any]):
    format = serializers.ChoiceField(
        choices=FORMATS,
        default=FORMATS[0],
        help_text="By default it is detected from the file.",
    )


class HistoryImportSerializer(serializers.ModelSerializer[HistoryImport]):
    import_id = serializers.UUIDField(source="id")

    class Meta:
        model = HistoryImport
        fields = [
            "import_id",
            "status",
            "format",
            "bytes_total",
            "bytes_done",
            "added",
            "known",
            "unmatched",
            "refused",
            "detail",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class HistoryImportsSerializer(serializers.Serializer[Any]):
    imports = HistoryImportSerializer(many=True, help_text="The latest first, at most 100.")


class UploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(help_text="The export file as it was downloaded.")
