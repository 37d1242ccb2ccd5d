"""Rows of the catalogue in the paths of the API: an integer or, except for tags, `external:` and the app's own id."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError

from common.http.references import INT64_MAX, PREFIX, ExternalId, parse_path_reference
from tracks.models import Album, Artist, Track
from tracks.selectors import find_ids

TRACK_ID = OpenApiParameter("track_id", str, "path", description="A track's id, or `external:` and the app's own id.")
ARTIST_ID = OpenApiParameter(
    "artist_id", str, "path", description="An artist's id, or `external:` and the app's own id."
)
ALBUM_ID = OpenApiParameter("album_id", str, "path", description="An album's id, or `external:` and the app's own id.")


def parse_path_id(name: str, segment: str) -> int | ExternalId:
    """Return what a segment of a path refers to. `external:` may be left out before an id that is no number.

    Args:
        name: the name of the path parameter, such as `track_id`.
        segment: the decoded segment.

    Raises:
        ValidationError: the segment cannot be an id.
    """
    is_number = segment.isascii() and segment.isdigit()
    return parse_path_reference(name, segment if is_number or segment.startswith(PREFIX) else PREFIX + segment)


def resolve_path_id(model: type[Track | Album | Artist], name: str, segment: str) -> int:
    """Return the id of the row that a segment of a path names. An integer may be the id of no row.

    Args:
        model: what the segment names.
        name: the name of the path parameter, such as `track_id`.
        segment: the decoded segment.

    Raises:
        Http404: no row can have this id.
        ValidationError: the segment cannot be an id.
    """
    reference = parse_path_id(name, segment)
    if (row_id := find_ids(model, [reference]).get(reference)) is None:
        raise Http404(f"no such {model._meta.model_name}")
    return row_id


def resolve_path_track_id(track_id: str) -> int:
    """Return the id of the track that `track_id` in a path names; raises what `resolve_path_id` does."""
    return resolve_path_id(Track, "track_id", track_id)


def resolve_path_tag_id(name: str, segment: str, word: str = "tag") -> int:
    """Return the id of the tag that a segment of a path names, which may be the id of no tag.

    Args:
        name: the name of the path parameter.
        segment: the decoded segment.
        word: what messages call the tag, such as a genre.

    Raises:
        Http404: no tag can have this id.
        ValidationError: the segment is not a reference, or an external id, which tags do not have.
    """
    reference = parse_path_reference(name, segment)
    if isinstance(reference, ExternalId):
        raise ValidationError({f"{{{name}}}": f"a {word} has no external id; use the tag_id of a track page"})
    if reference > INT64_MAX:
        raise Http404(f"no such {word}")
    return reference
