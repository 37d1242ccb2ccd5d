"""Upload a listener's own history, and watch it being taken in."""

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import Http404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from access.permissions import USER_ID, resolve_path_user_id
from access.selectors import consent_by_user_id
from common.background import BrokerUnavailable
from engine.data.id_map import INT64_MAX
from interactions.imports.jobs import (
    MAX_UNFINISHED_IMPORTS,
    ImportLimitReached,
    check_upload,
    create_import,
    upload_folder,
)
from interactions.imports.listening_history import ImportNotAllowed
from interactions.imports.serializers import (
    FORMATS,
    HistoryImportSerializer,
    HistoryImportsSerializer,
    UploadSerializer,
)
from interactions.models import HistoryImport

SHOWN = 100
_CHUNK = 1 << 16


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE


class _ToFile(BaseParser):
    """The body as it is, on disk: `request.data` is where."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        path = _new_file()
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(stream, file, _CHUNK)
        except BaseException:
            path.unlink()
            raise
        return path


class HistoryImportsView(APIView):
    """A listener's uploads."""

    required_scope = Scope.LISTENERS
    parser_classes = [MultiPartParser, _ToFile]
    body_limit = staticmethod(lambda: settings.MUSICREC["IMPORT_MAX_BYTES"])

    @extend_schema(operation_id="list_imports", parameters=[USER_ID], responses=HistoryImportsSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """What was uploaded, and what became of it."""
        jobs = HistoryImport.objects.filter(user=_listener(request, user_id))[:SHOWN]
        return Response({"imports": HistoryImportSerializer(jobs, many=True).data})

    @extend_schema(
        operation_id="import_history",
        parameters=[
            USER_ID,
            OpenApiParameter("format", str, enum=FORMATS, description="By default what it looks like."),
        ],
        request={"application/octet-stream": OpenApiTypes.BINARY, "multipart/form-data": UploadSerializer},
        responses={202: HistoryImportSerializer},
    )
    def post(self, request: Request, user_id: str) -> Response:
        """Upload an export of ListenBrainz, Last.fm or Spotify. Uploaded again, it adds nothing."""
        listener = _listener(request, user_id)
        format = request.query_params.get("format", FORMATS[0])
        if format not in FORMATS:
            raise ValidationError({"?format": f"must be one of {', '.join(FORMATS)}"})
        job = _accepted(listener, format, request)
        where = reverse("import", kwargs={"user_id": listener, "import_id": job.pk})
        return Response(HistoryImportSerializer(job).data, status.HTTP_202_ACCEPTED, headers={"Location": where})


class HistoryImportView(APIView):
    required_scope = Scope.LISTENERS

    @extend_schema(operation_id="read_import", parameters=[USER_ID], responses=HistoryImportSerializer)
    def get(self, request: Request, user_id: str, import_id: UUID) -> Response:
        """How far it is, or what came of it."""
        job = HistoryImport.objects.filter(pk=import_id, user=_listener(request, user_id)).first()
        if job is None:
            raise Http404("no such import")
        return Response(HistoryImportSerializer(job).data)


def _listener(request: Request, user_id: str) -> int:
    """Raises Http404 for one that there is not."""
    listener = resolve_path_user_id(request, user_id)
    if listener > INT64_MAX or listener not in consent_by_user_id([listener]):
        raise Http404("no such listener")
    return listener


def _accepted(listener: int, format: str, request: Request) -> HistoryImport:
    """Of the body a job. A file that makes none does not stay."""
    file: Path | None = None
    try:
        check_upload(listener)
        file = _uploaded(request)
        return create_import(listener, format, file)
    except ImportNotAllowed as error:
        raise Conflict(str(error)) from error
    except ImportLimitReached as error:
        raise Conflict(
            f"{MAX_UNFINISHED_IMPORTS} imports of this listener are not finished; wait for one of them"
        ) from error
    except BrokerUnavailable as error:
        raise Unavailable(str(error)) from error
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _uploaded(request: Request) -> Path:
    """The body, in the folder of uploads."""
    request._request.upload_handlers = [TemporaryFileUploadHandler(request._request)]  # none in memory
    data: Any = request.data
    path = data if isinstance(data, Path) else _moved(data.get("file"))
    there, said = path.stat().st_size, int(request.META.get("CONTENT_LENGTH") or 0)
    if not there or (path is data and there < said):
        path.unlink()
        raise ParseError(
            "the body is empty" if not there else f"the body has {there} of the {said} bytes it should have"
        )
    return path


def _moved(file: Any) -> Path:
    if not isinstance(file, TemporaryUploadedFile):
        raise ValidationError({"file": "is required: the export, as a file"})
    path = _new_file()
    shutil.move(file.temporary_file_path(), path)
    return path


def _new_file() -> Path:
    return upload_folder() / f"{uuid4()}.part"
