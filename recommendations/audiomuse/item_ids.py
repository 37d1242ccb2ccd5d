"""The ids by which a player names tracks and artists.

A player knows its own ids. The catalogue has them as external ids, either as they are or in the form `namespace:id`
with the namespace of the setting MUSICREC_PLAYER_NAMESPACE. A track without an external id is `musicrec:` and its id.
"""

from django.conf import settings

from common.http.json import escape_unstorable
from interactions.selectors import count_listeners_of_tracks
from tracks.match_keys import make_match_key
from tracks.matching import TrackQuery, match_tracks
from tracks.models import Artist, Track
from tracks.search.selectors import find_artist_by_name
from tracks.selectors import ids_by_external_id

OWN_NAMESPACE = "musicrec"


def find_track_id(item_id: str) -> int | None:
    """Return the track with an item id, or None."""
    return _find_id(Track, item_id)


def find_track_id_by_names(artist: str, title: str) -> int | None:
    """Return the track with these names, however they are written; of several, the one with the most listeners."""
    query = TrackQuery(None, "", make_match_key(artist, title))
    return match_tracks([query], count_listeners_of_tracks).get(query)


def find_artist_id(id_or_name: str) -> int | None:
    """Return the artist with an id of the player or, if there is none, with a name, however it is written."""
    if (artist_id := _find_id(Artist, id_or_name)) is not None:
        return artist_id
    name = id_or_name.strip()
    return None if _is_unstorable(name) else find_artist_by_name(name)


def format_item_id(external_id: str | None, row_id: int) -> str:
    """Return the id by which the player knows a track or an artist."""
    if external_id is None:
        return f"{OWN_NAMESPACE}:{row_id}"
    return external_id.removeprefix(f"{settings.MUSICREC['PLAYER_NAMESPACE']}:")


def _find_id(model: type[Track] | type[Artist], item_id: str) -> int | None:
    if _is_unstorable(item_id):
        return None
    namespaced = f"{settings.MUSICREC['PLAYER_NAMESPACE']}:{item_id}"
    ids = ids_by_external_id(model, [item_id, namespaced])
    if ids:
        return ids.get(item_id) or ids[namespaced]
    namespace, _, number = item_id.partition(":")
    if namespace != OWN_NAMESPACE or not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return model.objects.filter(pk=int(number), external_id=None).values_list("pk", flat=True).first()


def _is_unstorable(text: str) -> bool:
    """Return whether the database refuses a text, so that nothing can have it as its id or name."""
    return escape_unstorable(text) != text
