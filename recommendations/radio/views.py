"""Radios over HTTP."""

from functools import cached_property
from time import perf_counter
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404, HttpResponse
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import SCHEMES
from access.models import Scope, ServiceKey
from access.permissions import resolve_own_user_id
from common.http.query_parameters import ApiView, parse_parameters
from engine.retrieval.station import EASY
from recommendations.api.authentication import BodyContextView, ContextView
from recommendations.api.responses import build_response
from recommendations.api.serializers import AnswerSerializer
from recommendations.models import Radio
from recommendations.radio.seeds import SeedError, StoredSeed, resolve_prompt, resolve_seed
from recommendations.radio.selectors import PlayingRadio, find_radio, load_playing_radio
from recommendations.radio.serializers import (
    DEFAULT_DRIFT,
    NextTracksParameters,
    RadioSerializer,
    StartRadioSerializer,
)
from recommendations.radio.services import RadioOptions, UnknownRadio, delete_radio, play_next, start_radio
from recommendations.serving.request_context import RecommendationRequest


@extend_schema(auth=SCHEMES)
class RadiosView(BodyContextView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    body_serializer = StartRadioSerializer

    @extend_schema(operation_id="start_radio", request=StartRadioSerializer, responses={201: RadioSerializer})
    def post(self, request: Request) -> Response:
        """Start a radio from tracks, artists, tags or a listener's taste, or from a prompt of ListenBrainz Radio."""
        body = self.validated_body(request)
        listener_id = self._find_listener(request, body)
        seeds, mode, only_seeds = self._resolve_seeds(body.get("seeds", [])), None, False
        if "prompt" in body:
            try:
                of_prompt = resolve_prompt(body["prompt"], self.context)
            except SeedError as error:
                raise ValidationError({"prompt": str(error)}) from error
            only_seeds = of_prompt.only_seeds and not seeds
            seeds, mode = [*seeds, *of_prompt.seeds], of_prompt.mode
        options = RadioOptions(
            body.get("mode") or mode or EASY,
            body.get("drift", DEFAULT_DRIFT),
            body["market"],
            body["explicit"],
            only_seeds,
        )
        radio = start_radio(listener_id, body.get("prompt", ""), seeds, options)
        location = reverse("radio", kwargs={"radio_id": radio.pk})
        return Response(_describe(radio), status.HTTP_201_CREATED, headers={"Location": location})

    def _find_listener(self, request: Request, body: dict[str, Any]) -> int | None:
        """Return the listener of the radio; None if a service key names none.

        Raises:
            Http404: a token names somebody else.
            ValidationError: a service key names a listener who does not exist.
        """
        if not isinstance(request.auth, ServiceKey):
            return resolve_own_user_id(request, body.get("user_id"))
        if "user_id" in body and not self.context.settings.exists:
            raise ValidationError({"user_id": "there is no such listener; create them, or leave this out"})
        return self.context.listener_id

    def _resolve_seeds(self, entries: list[dict[str, Any]]) -> list[StoredSeed]:
        """Raises ValidationError, with a pointer to the seed, if one cannot be resolved."""
        seeds: list[StoredSeed] = []
        errors: dict[str, Any] = {}
        for number, entry in enumerate(entries):
            try:
                self._check_taste(entry["kind"])
                seeds.append(resolve_seed(entry["kind"], entry.get("id"), entry.get("name", ""), entry["weight"]))
            except SeedError as error:
                errors[str(number)] = {error.field: str(error)}
        if errors:
            raise ValidationError({"seeds": errors})
        return seeds

    def _check_taste(self, kind: str) -> None:
        if kind != "taste":
            return
        if not self.context.settings.exists:
            raise SeedError("kind", "taste needs a listener; name them as user_id, or use a listener's token")
        if not self.context.settings.consent:
            raise SeedError(
                "kind", "the listener's consent is off, so nothing is known of their taste; name other seeds"
            )


@extend_schema(auth=SCHEMES)
class RadioView(ApiView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND

    @extend_schema(operation_id="read_radio", responses=RadioSerializer)
    def get(self, request: Request, radio_id: UUID) -> Response:
        """Show what a radio is made from, and which tracks it has offered."""
        return Response(_describe(_find_own_radio(request, radio_id)))

    @extend_schema(operation_id="delete_radio", responses={204: None})
    def delete(self, request: Request, radio_id: UUID) -> Response:
        """Delete a radio."""
        delete_radio(_find_own_radio(request, radio_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(auth=SCHEMES)
class NextTracksView(ContextView):
    """The next tracks of a radio. Each answer differs from the one before it, so HEAD is refused."""

    http_method_names = ["get", "options"]
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": NextTracksParameters}

    @extend_schema(operation_id="get_next_tracks", responses=AnswerSerializer)
    def get(self, request: Request, radio_id: UUID) -> HttpResponse:
        """Take the next tracks of a radio; it never repeats a track, and hears skips, likes and dislikes."""
        started = perf_counter()
        options = parse_parameters(NextTracksParameters, request.META.get("QUERY_STRING", ""))
        if self._playing is None or not _may_use(request, self._playing.radio):
            raise _no_such_radio()
        radio, context = self._playing.radio, self.context
        next_request = RecommendationRequest(
            "radio",
            listener_id=radio.user_id,
            market=radio.market,
            explicit=radio.explicit,
            radio=radio.pk,
            **options,
        )
        try:
            answer = play_next(self._playing, next_request, context)
        except UnknownRadio as error:
            raise _no_such_radio() from error
        response = build_response(request, answer, False, context.query_seconds, perf_counter() - started)
        del response["ETag"]
        response["Cache-Control"] = "no-store"
        return response

    def requested_listener(self, request: Request) -> int | None:
        return None if self._playing is None else self._playing.radio.user_id

    @cached_property
    def _playing(self) -> PlayingRadio | None:
        """The radio, read before a key is checked: it names the listener whose context is loaded with the key."""
        radio_id = self.kwargs.get("radio_id")
        return None if radio_id is None else load_playing_radio(radio_id)


def _find_own_radio(request: Request, radio_id: UUID) -> Radio:
    """Return a radio. Raises Http404 if there is none, or a token asks for one that is not its listener's."""
    radio = find_radio(radio_id)
    if radio is None or not _may_use(request, radio):
        raise _no_such_radio()
    return radio


def _may_use(request: Request, radio: Radio) -> bool:
    return isinstance(request.auth, ServiceKey) or radio.user_id == request.user.pk


def _no_such_radio() -> Http404:
    return Http404("no such radio, or no longer; start a new one with POST /radio")


def _describe(radio: Radio) -> dict[str, Any]:
    seeds = [
        {name: seed[name] for name in ("kind", "id", "name", "weight")}
        | {"track_count": None if seed["kind"] == "taste" else len(seed["track_ids"])}
        for seed in radio.seeds
    ]
    return {
        "radio_id": radio.pk,
        "user_id": radio.user_id,
        "prompt": radio.prompt,
        "seeds": seeds,
        "mode": radio.mode,
        "drift": radio.drift,
        "only_seeds": radio.only_seeds,
        "market": radio.market,
        "explicit": radio.explicit,
        "created_at": radio.created_at,
        "offered_count": radio.offered,
        "offered_track_ids": radio.track_ids,
        "next": f"/radio/{radio.pk}/next",
    }
