"""Create and update tracks, artists and albums, for the API and for importers.

An item is a dict of what a client states about an object; what it does not state stays as it is. `external_id` names an
object that may be new, `id` one that exists. Of many items, an invalid one does not affect the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from common.http.references import INT64_MAX
from common.http.upserts import UpsertOutcome
from importers.track_rows import normalize_name, shorten_id
from tracks.match_keys import make_match_key
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.search.services import index_albums, index_artists, index_tracks
from tracks.services import bump_catalogue_revision, lock_catalogue, update_artist_names

Item = Mapping[str, Any]
Row = TypeVar("Row", Track, Album, Artist)
BATCH_SIZE = 10_000  # SQLite accepts 32,766 parameters per query
ARTIST_COLUMNS = ("name", "mbid")
ALBUM_COLUMNS = ("title", "year", "released_on", "cover_url", "mbid")
TRACK_COLUMNS = (
    *("title", "duration_ms", "released_on", "preview_url", "cover_url", "mbid", "isrc", "explicit", "markets"),
    *("tempo", "energy", "valence", "danceability", "acousticness"),
)
REQUIRED_FOR_NEW = "is required, because the {model} is not in the catalogue yet"


class UnknownId(LookupError):
    """No object has the `id` that an item names."""


@dataclass
class _Draft(Generic[Row]):
    """An item on its way into the database.

    Attributes:
        row: the stored object, or the new one; None until it is built, and for an item with errors.
        is_new: whether the catalogue does not have it yet.
        changed_columns: of an object that it has.
    """

    item: Item
    row: Row | None
    is_new: bool
    errors: dict[str, Any] = field(default_factory=dict)
    artist: Artist | None = None
    album: Album | None = None
    changed_columns: set[str] = field(default_factory=set)
    has_new_tags: bool = False

    def outcome(self) -> UpsertOutcome:
        if self.errors or self.row is None:
            return UpsertOutcome("rejected", errors=self.errors)
        is_changed = bool(self.changed_columns) or self.has_new_tags
        return UpsertOutcome("created" if self.is_new else "updated" if is_changed else "unchanged", self.row.pk)


@transaction.atomic
def upsert_artists(items: Sequence[Item]) -> list[UpsertOutcome]:
    """Create and update artists.

    Args:
        items: with `external_id` or `id`; `name`, which a new artist needs; `mbid`.

    Raises:
        UnknownId: an item names an `id` that no artist has.
    """
    lock_catalogue()
    drafts = _load_drafts(Artist.objects.all(), items)
    _require(drafts, "artist", "name")
    _refuse_taken_mbids(drafts, Artist)
    for draft in _valid(drafts):
        draft.row = draft.row or Artist(external_id=draft.item["external_id"])
        _set_columns(draft, {name: draft.item[name] for name in ARTIST_COLUMNS if name in draft.item})
    _save(Artist, drafts)
    update_artist_names([draft.row for draft in drafts if draft.row and "name" in draft.changed_columns])
    return _finish(drafts)


@transaction.atomic
def upsert_albums(items: Sequence[Item]) -> list[UpsertOutcome]:
    """Create and update albums.

    Args:
        items: with `external_id` or `id`; `title` and `artist`, which a new album needs; and other columns. `artist`
            is a dict of `external_id` and `name`, see `_find_artists`.

    Raises:
        UnknownId: an item names an `id` that no album has.
    """
    lock_catalogue()
    drafts = _load_drafts(Album.objects.select_related("artist"), items)
    _require(drafts, "album", "title", "artist")
    _refuse_taken_mbids(drafts, Album)
    _find_artists(drafts)
    has_added_rows = _add_artists_and_albums(drafts)
    for draft in _valid(drafts):
        columns = {name: draft.item[name] for name in ALBUM_COLUMNS if name in draft.item}
        if draft.artist:
            columns["artist_id"] = draft.artist.pk
        draft.row = draft.row or Album(external_id=draft.item["external_id"])
        _set_columns(draft, columns)
    _save(Album, drafts)
    index_albums(_changed_names(drafts))
    return _finish(drafts, has_added_rows)


@transaction.atomic
def upsert_tracks(items: Sequence[Item], *, keep_tags: bool = False) -> list[UpsertOutcome]:
    """Create and update tracks, with the artists, albums and tags that they name and that are new.

    Args:
        items: with `external_id` or `id`; `title` and `artist`, which a new track needs; and other columns. `artist`
            and `album` are dicts, see `_find_artists` and `_find_albums`; `album` may be None. `available` is whether
            the track may be recommended. `tags` is a list of dicts of `name`, `kind` and `weight`.
        keep_tags: whether the track keeps tags that it has and the item does not name.

    Raises:
        UnknownId: an item names an `id` that no track has.
    """
    lock_catalogue()
    drafts = _load_drafts(Track.objects.select_related("artist"), items)
    _require(drafts, "track", "title", "artist")
    _find_artists(drafts)
    _find_albums(drafts)
    has_added_rows = _add_artists_and_albums(drafts)
    now = timezone.now()
    for draft in _valid(drafts):
        item, track = draft.item, draft.row or Track(external_id=draft.item["external_id"])
        columns = {name: item[name] for name in TRACK_COLUMNS if name in item}
        artist = draft.artist or track.artist
        columns["artist_id"] = artist.pk
        if "album" in item:
            columns["album_id"] = draft.album.pk if draft.album else None
        if "available" in item:
            columns["taken_down_at"] = None if item["available"] else track.taken_down_at or now
        title = columns.get("title", track.title)
        if (artist.pk, title) != (track.artist_id, track.title):
            columns["match_key"] = make_match_key(artist.name, title)
        draft.row = track
        _set_columns(draft, columns)
    _save(Track, drafts)
    index_tracks(_changed_names(drafts))
    _save_tags(drafts, keep_tags)
    return _finish(drafts, has_added_rows)


def _load_drafts(rows: QuerySet[Row], items: Sequence[Item]) -> list[_Draft[Row]]:
    """Return a draft for each item, with the stored object if there is one."""
    by_id = rows.in_bulk([item["id"] for item in items if item.get("id", INT64_MAX + 1) <= INT64_MAX])
    stored = rows.filter(external_id__in=[item["external_id"] for item in items if "id" not in item])
    by_external_id = {row.external_id: row for row in stored}
    drafts = []
    for item in items:
        row = by_id.get(item["id"]) if "id" in item else by_external_id.get(item["external_id"])
        if row is None and "id" in item:
            raise UnknownId(item["id"])
        drafts.append(_Draft(item, row, is_new=row is None))
    return drafts


def _valid(drafts: Iterable[_Draft[Row]]) -> list[_Draft[Row]]:
    return [draft for draft in drafts if not draft.errors]


def _require(drafts: Iterable[_Draft[Row]], model: str, *names: str) -> None:
    """Refuse new objects that lack what they need."""
    for draft in drafts:
        if draft.is_new:
            missing = [name for name in names if name not in draft.item]
            draft.errors |= dict.fromkeys(missing, REQUIRED_FOR_NEW.format(model=model))


def _refuse_taken_mbids(drafts: Iterable[_Draft[Row]], model: type[Row]) -> None:
    """Refuse artists and albums whose MBID belongs to another one, stored or earlier in the batch."""
    stating = [draft for draft in drafts if not draft.errors and draft.item.get("mbid")]
    values = [draft.item["mbid"] for draft in stating]
    rows = model._default_manager.filter(mbid__in=values).values_list("mbid", "pk", "external_id")
    owners: dict[Any, tuple[int | None, Any]] = {
        value: (pk, external_id or f"with the id {pk}") for value, pk, external_id in rows
    }
    for draft in stating:
        value = draft.item["mbid"]
        own = (draft.row.pk if draft.row else None, draft.item.get("external_id", ""))
        owner = owners.setdefault(value, own)
        if owner[0] != own[0] or (owner[0] is None and owner[1] != own[1]):
            kind = model._meta.verbose_name
            draft.errors["mbid"] = f"{value} is the mbid of {kind} {owner[1]!r} already; correct one of the two"


def _find_artists(drafts: Iterable[_Draft[Row]]) -> None:
    """Give drafts the artists that their items name; those that the catalogue does not have are not saved yet.

    Without an `external_id`, artists with the same name are the same artist. A known artist keeps its name.
    """
    stating = [draft for draft in drafts if not draft.errors and "artist" in draft.item]
    names = {_artist_external_id(d.item["artist"]): d.item["artist"].get("name") for d in stating}
    names |= {_artist_external_id(a): a["name"] for d in stating if (a := d.item["artist"]).get("name")}
    artists = {external_id: Artist(external_id=external_id, name=name) for external_id, name in names.items() if name}
    artists |= {str(artist.external_id): artist for artist in Artist.objects.filter(external_id__in=names)}
    for draft in stating:
        draft.artist = artists.get(_artist_external_id(draft.item["artist"]))
        if draft.artist is None:
            draft.errors["artist"] = {"name": REQUIRED_FOR_NEW.format(model="artist")}


def _artist_external_id(artist: Item) -> str:
    return artist.get("external_id") or shorten_id(f"name:{normalize_name(artist['name'])}")


def _find_albums(drafts: Iterable[_Draft[Track]]) -> None:
    """Give drafts the albums that their items name; those that the catalogue does not have are not saved yet.

    An album is a dict of `external_id`, `title` and `year`. Without an `external_id`, albums of an artist with the same
    title are the same album. A known album keeps its title.
    """
    stating: list[tuple[_Draft[Track], str]] = []
    albums: dict[str, Album] = {}
    for draft in drafts:
        album = draft.item.get("album")
        artist = draft.artist or (draft.row and draft.row.artist)
        if album and artist and not draft.errors:
            owner = artist.external_id or _artist_external_id({"name": artist.name})
            external_id = album.get("external_id") or shorten_id(f"{owner}/{normalize_name(album['title'])}")
            stating.append((draft, external_id))
            if album.get("title"):
                fields = {"title": album["title"], "year": album.get("year"), "artist": artist}
                albums[external_id] = Album(external_id=external_id, **fields)
    stored = Album.objects.filter(external_id__in=[external_id for _, external_id in stating])
    albums |= {str(album.external_id): album for album in stored}
    for draft, external_id in stating:
        draft.album = albums.get(external_id)
        if draft.album is None:
            draft.errors["album"] = {"title": REQUIRED_FOR_NEW.format(model="album")}


def _add_artists_and_albums(drafts: Iterable[_Draft[Row]]) -> bool:
    """Insert the artists and albums of valid items that the catalogue does not have; return whether there were any.

    Once all items are checked, so that a refused item leaves nothing behind.
    """
    named_artists = [draft.artist for draft in _valid(drafts) if draft.artist]
    named_albums = [draft.album for draft in _valid(drafts) if draft.album]
    new_artists = {artist.external_id: artist for artist in named_artists if artist.pk is None}
    Artist.objects.bulk_create(new_artists.values())
    index_artists((artist.pk, artist.name) for artist in new_artists.values())
    new_albums = {album.external_id: album for album in named_albums if album.pk is None}
    Album.objects.bulk_create(new_albums.values())
    index_albums((album.pk, album.title, album.artist.name) for album in new_albums.values())
    return bool(new_artists or new_albums)


def _set_columns(draft: _Draft[Row], columns: Mapping[str, Any]) -> None:
    """Set columns of the object, and note which of them have changed."""
    for name, value in columns.items():
        if getattr(draft.row, name) != value:
            draft.changed_columns.add(name)
            setattr(draft.row, name, value)


def _save(model: type[Row], drafts: Iterable[_Draft[Row]]) -> None:
    """Insert the new objects and update those that have changed."""
    model._default_manager.bulk_create([d.row for d in drafts if d.row and d.is_new and not d.errors])
    changed = [draft for draft in drafts if draft.row and draft.changed_columns and not draft.is_new]
    if changed:
        # An insert that always conflicts. `bulk_update` writes a CASE for each column and row, which takes many times
        # as long. Columns that no item changes are left out: PostgreSQL would lock the rows against new events if
        # unique columns were among them.
        model._default_manager.bulk_create(
            [draft.row for draft in changed if draft.row],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=sorted({name.removesuffix("_id") for draft in changed for name in draft.changed_columns}),
        )


def _changed_names(drafts: Iterable[_Draft[Album]] | Iterable[_Draft[Track]]) -> Iterator[tuple[int, str, str]]:
    """Yield id, title and artist's name of each object with another title or artist than before."""
    for draft in drafts:
        if draft.row and not draft.errors and draft.changed_columns & {"title", "artist_id"}:
            yield draft.row.pk, draft.row.title, (draft.artist or draft.row.artist).name


def _save_tags(drafts: Iterable[_Draft[Track]], keep_tags: bool) -> None:
    """Give tracks the tags that their items state."""
    stating = [(draft, draft.row) for draft in drafts if draft.row and not draft.errors and "tags" in draft.item]
    tag_ids = _get_or_create_tags({(tag["name"], tag["kind"]) for draft, _ in stating for tag in draft.item["tags"]})
    stored: dict[int, dict[int, tuple[int, float]]] = {}
    known_tracks = [track.pk for draft, track in stating if not draft.is_new]
    rows = TrackTag.objects.filter(track__in=known_tracks).values_list("track_id", "tag_id", "pk", "weight")
    for track_id, tag_id, pk, weight in rows:
        stored.setdefault(track_id, {})[tag_id] = pk, weight
    changed: list[TrackTag] = []
    removed: list[int] = []
    for draft, track in stating:
        old = stored.get(track.pk, {})
        weights = {tag_ids[tag["name"], tag["kind"]]: tag["weight"] for tag in draft.item["tags"]}
        new = [
            TrackTag(track_id=track.pk, tag_id=tag_id, weight=weight)
            for tag_id, weight in weights.items()
            if tag_id not in old or old[tag_id][1] != weight
        ]
        superfluous = [] if keep_tags else [pk for tag_id, (pk, _) in old.items() if tag_id not in weights]
        draft.has_new_tags = bool(new or superfluous)
        changed += new
        removed += superfluous
    for start in range(0, len(removed), BATCH_SIZE):
        TrackTag.objects.filter(pk__in=removed[start : start + BATCH_SIZE]).delete()
    TrackTag.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["track", "tag"], update_fields=["weight"]
    )


def _get_or_create_tags(tags: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the ids of tags by name and kind."""
    tag_ids: dict[tuple[str, str], int] = {}
    names = sorted({name for name, _ in tags})
    for start in range(0, len(names), BATCH_SIZE):
        rows = Tag.objects.filter(name__in=names[start : start + BATCH_SIZE]).values_list("name", "kind", "pk")
        tag_ids |= {(name, kind): pk for name, kind, pk in rows}
    new = Tag.objects.bulk_create(Tag(name=name, kind=kind) for name, kind in sorted(tags - tag_ids.keys()))
    return tag_ids | {(tag.name, tag.kind): tag.pk for tag in new}


def _finish(drafts: Sequence[_Draft[Row]], has_added_rows: bool = False) -> list[UpsertOutcome]:
    """Return what became of each item, and bump the catalogue's revision if anything was written."""
    outcomes = [draft.outcome() for draft in drafts]
    if has_added_rows or any(outcome.status in ("created", "updated") for outcome in outcomes):
        bump_catalogue_revision()
    return outcomes
