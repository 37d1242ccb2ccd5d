"""Upload a listener's own history, and follow the import."""

import gzip
import shutil
import zlib
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from access.permissions import USER_ID, resolve_path_user_id
from access.selectors import consent_by_user_id
from common.background import BrokerUnavailable
from common.http.json import PayloadTooLarge
from common.http.query_parameters import ApiView, parse_parameters
from interactions.imports.jobs import upload_folder
from interactions.imports.listening_history import ImportNotAllowed
from interactions.imports.serializers import (
    FormatParameter,
    HistoryImportSerializer,
    HistoryImportsSerializer,
    UploadSerializer,
)
from interactions.imports.services import MAX_UNFINISHED_IMPORTS, ImportLimitReached, check_upload, create_import
from interactions.models import HistoryImport

MAX_LISTED_IMPORTS = 100
COPY_BUFFER_BYTES = 1 << 16


class ImportConflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class ImportUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE


class FileBodyParser(BaseParser):
    """Write the body to a file, unpacked if its `Content-Encoding` is gzip; `request.data` is its path."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request: Request = (parser_context or {})["request"]
        content_length = int(request.META.get("CONTENT_LENGTH") or 0)
        path = _new_upload_path()
        try:
            with path.open("wb") as file:
                if _content_encoding(request) == "gzip":
                    _unpack_gzip(stream, file, settings.MUSICREC["IMPORT_MAX_BYTES"])
                else:
                    shutil.copyfileobj(stream, file, COPY_BUFFER_BYTES)
                    if file.tell() < content_length:
                        raise ParseError(f"the body has {file.tell()} of its {content_length} bytes")
        except BaseException:
            path.unlink(missing_ok=True)  # a read-only folder
            raise
        return path


class HistoryImportsView(ApiView):
    """The imports of a listener."""

    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS
    query_parameters = {"post": FormatParameter}
    parser_classes = [MultiPartParser, FileBodyParser]
    body_limit = staticmethod(lambda: settings.MUSICREC["IMPORT_MAX_BYTES"])

    @extend_schema(operation_id="list_imports", parameters=[USER_ID], responses=HistoryImportsSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List the listener's imports and their results."""
        jobs = HistoryImport.objects.filter(user=_resolve_listener_id(request, user_id))[:MAX_LISTED_IMPORTS]
        return Response({"imports": HistoryImportSerializer(jobs, many=True).data})

    @extend_schema(
        operation_id="import_history",
        parameters=[USER_ID],
        request={"multipart/form-data": UploadSerializer},
        responses={202: HistoryImportSerializer},
    )
    def post(self, request: Request, user_id: str) -> Response:
        """Upload an export of Spotify, Last.fm, ListenBrainz or another scrobbler. Uploading it again adds nothing.

        The file may be the body itself, too, and then it may be gzipped (`Content-Encoding: gzip`).
        """
        listener_id = _resolve_listener_id(request, user_id)
        format = parse_parameters(FormatParameter, request.META.get("QUERY_STRING", ""))["format"]
        file: Path | None = None
        try:
            check_upload(listener_id)
            file = _save_body(request)
            job = create_import(listener_id, format, file)
        except ImportNotAllowed as error:
            raise ImportConflict(str(error)) from error
        except ImportLimitReached as error:
            raise ImportConflict(
                f"{MAX_UNFINISHED_IMPORTS} imports of this listener are not finished; wait for one of them"
            ) from error
        except BrokerUnavailable as error:
            raise ImportUnavailable(str(error)) from error
        finally:
            if file is not None:  # create_import() moves it; it is still at this path only if no import was created
                file.unlink(missing_ok=True)
        location = reverse("import", kwargs={"user_id": listener_id, "import_id": job.pk})
        return Response(HistoryImportSerializer(job).data, status.HTTP_202_ACCEPTED, headers={"Location": location})


class HistoryImportView(ApiView):
    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS

    @extend_schema(operation_id="read_import", parameters=[USER_ID], responses=HistoryImportSerializer)
    def get(self, request: Request, user_id: str, import_id: UUID) -> Response:
        """Show the progress of an import, or its result."""
        job = HistoryImport.objects.filter(pk=import_id, user=_resolve_listener_id(request, user_id)).first()
        if job is None:
            raise Http404("no such import")
        return Response(HistoryImportSerializer(job).data)


def _resolve_listener_id(request: Request, user_id: str) -> int:
    """Return the id of the listener in the path. Raises Http404 if there is no such listener."""
    listener_id = resolve_path_user_id(request, user_id)
    if listener_id not in consent_by_user_id([listener_id]):
        raise Http404("no such listener")
    return listener_id


def _save_body(request: Request) -> Path:
    """Write the uploaded file into the upload folder, without holding it in memory, and return its path."""
    encoding = _content_encoding(request)
    is_form = request.content_type.startswith("multipart/")
    if encoding not in ("", "identity") and (is_form or encoding != "gzip"):
        remedy = "send the form without it" if is_form else "send gzip or none"
        raise UnsupportedMediaType(encoding, f"Content-Encoding {encoding!r} is not supported; {remedy}")
    request._request.upload_handlers = [TemporaryFileUploadHandler(request._request)]
    data: Any = request.data
    if isinstance(data, Path):
        path = data
    elif not is_form:  # REST framework parses no empty body
        raise ParseError("the body is empty; send the export as the body, or as the field file of a form")
    else:
        file = data.get("file")
        if not isinstance(file, TemporaryUploadedFile):
            raise ValidationError({"file": "is required: the export, as a file"})
        path = _new_upload_path()
        shutil.move(file.temporary_file_path(), path)
    if path.stat().st_size:
        return path
    path.unlink()
    raise ParseError("the body is empty")


def _content_encoding(request: Request) -> str:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    return "gzip" if encoding == "x-gzip" else encoding


def _unpack_gzip(stream: Any, file: IO[bytes], limit: int) -> None:
    """Unpack a gzipped body into a file. Raises ParseError if it is damaged, PayloadTooLarge above the limit."""
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            while block := unpacked.read(COPY_BUFFER_BYTES):
                if file.tell() + len(block) > limit:
                    raise PayloadTooLarge(f"the unpacked body may have {limit} bytes; upload smaller parts of it")
                file.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ParseError(f"the body is not gzip, or is incomplete: {error}") from error


def _new_upload_path() -> Path:
    return upload_folder() / f"{uuid4()}.part"
