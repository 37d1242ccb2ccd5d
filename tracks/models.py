"""The catalogue.

Write it by the functions of `tracks.services`, which keep match keys up to date and bump the catalogue's revision.
`external_id` is the app's own id of an object; importers write ids of other services in the form `namespace:id`.
"""

import datetime
import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

CREDIBLE_TEMPO = (20, 400)  # beats per minute


def external_id_field() -> "models.CharField[str | None, str | None]":
    return models.CharField(max_length=128, unique=True, null=True, blank=True)


def released_on_field(*, db_index: bool) -> "models.DateField[datetime.date | str | None, datetime.date | None]":
    return models.DateField(null=True, blank=True, db_index=db_index)


def mbid_field() -> "models.UUIDField[uuid.UUID | str | None, uuid.UUID | None]":
    return models.UUIDField("MBID", unique=True, null=True, blank=True)


class Catalogue(models.Model):
    """The single row that holds the revision of the catalogue, by which caches notice changes."""

    revision = models.BigIntegerField(help_text="A new random number whenever the catalogue changes.")

    class Meta:
        db_table = "catalogue"

    def __str__(self) -> str:
        return str(self.revision)


class Artist(models.Model):
    name = models.CharField(max_length=512)
    external_id = external_id_field()
    mbid = mbid_field()

    def __str__(self) -> str:
        return self.name


class Album(models.Model):
    title = models.CharField(max_length=512)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    released_on = released_on_field(db_index=True)
    cover_url = models.URLField(max_length=512, blank=True)
    external_id = external_id_field()
    mbid = mbid_field()

    def __str__(self) -> str:
        return self.title


class Tag(models.Model):
    class Kind(models.TextChoices):
        GENRE = "genre"
        MOOD = "mood"
        INSTRUMENT = "instrument"
        OTHER = "other"

    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.OTHER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "kind"], name="tag_name_kind_unique"),
            models.CheckConstraint(
                condition=Q(kind__in=["genre", "mood", "instrument", "other"]), name="tag_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class Track(models.Model):
    title = models.CharField(max_length=512)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="tracks")
    album = models.ForeignKey(Album, models.SET_NULL, null=True, blank=True, related_name="tracks")
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    released_on = released_on_field(db_index=False)
    preview_url = models.URLField(max_length=512, blank=True)
    cover_url = models.URLField(max_length=512, blank=True)
    external_id = external_id_field()
    # Not unique: a single, its album and a compilation contain the same recording; see `tracks.recordings`.
    mbid = models.UUIDField("MBID", null=True, blank=True)
    isrc = models.CharField("ISRC", max_length=12, null=True, blank=True)
    tempo = models.FloatField(null=True, blank=True, help_text="Beats per minute.")
    energy = models.FloatField(null=True, blank=True, help_text="0 calm … 1 intense.")
    valence = models.FloatField(null=True, blank=True, help_text="0 sad … 1 cheerful.")
    danceability = models.FloatField(null=True, blank=True, help_text="0 … 1.")
    acousticness = models.FloatField(null=True, blank=True, help_text="0 … 1.")
    tags = models.ManyToManyField(Tag, through="TrackTag", related_name="tracks")
    explicit = models.BooleanField(default=False, help_text="Left out for listeners who do not want explicit tracks.")
    markets = models.CharField(
        max_length=1024,
        blank=True,
        validators=[RegexValidator(r"^([A-Z]{2}( [A-Z]{2})*)?$", "countries as in ISO 3166-1, as: AT CH DE")],
        help_text="The countries where the track is available, for example: AT CH DE. Empty: everywhere.",
    )
    taken_down_at = models.DateTimeField(
        null=True, blank=True, help_text="If set, the track is not recommended to anybody."
    )
    match_key = models.CharField(
        max_length=255,
        blank=True,
        db_index=True,
        editable=False,
        help_text="Artist and title, normalised for matching.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(duration_ms=None) | Q(duration_ms__gt=0), name="track_duration_positive"
            ),
            models.CheckConstraint(
                condition=Q(tempo=None) | Q(tempo__range=CREDIBLE_TEMPO), name="track_tempo_credible"
            ),
            *(
                models.CheckConstraint(condition=Q(**{feature: None}) | Q(**{f"{feature}__range": (0, 1)}), name=name)
                for feature, name in [
                    ("energy", "track_energy_fraction"),
                    ("valence", "track_valence_fraction"),
                    ("danceability", "track_danceability_fraction"),
                    ("acousticness", "track_acousticness_fraction"),
                ]
            ),
        ]
        indexes = [
            models.Index(fields=["taken_down_at"], name="track_taken_down", condition=Q(taken_down_at__isnull=False)),
            models.Index(fields=["explicit"], name="track_explicit", condition=Q(explicit=True)),
            models.Index(fields=["markets"], name="track_restricted", condition=~Q(markets="")),
            # New releases are by date, if there is one; otherwise by the time of being added. The index of dates has no
            # NULLs, because SQLite would find all undated tracks by them, and sort them.
            models.Index(fields=["released_on"], name="track_released", condition=Q(released_on__isnull=False)),
            models.Index(fields=["created_at", "id"], name="track_undated", condition=Q(released_on=None)),
            models.Index(fields=["isrc"], name="track_isrc", condition=Q(isrc__isnull=False)),
            models.Index(fields=["mbid"], name="track_mbid", condition=Q(mbid__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title


class TrackTag(models.Model):
    track = models.ForeignKey(Track, models.CASCADE, related_name="track_tags")
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="track_tags")
    weight = models.FloatField(
        default=1.0, help_text="How strongly the tag applies; for tags by users, how many of them gave it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["track", "tag"], name="track_tag_unique"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="track_tag_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.tag_id} of {self.track_id}"


class TrackVector(models.Model):
    """An embedding of a track that was computed elsewhere, from its audio or its lyrics.

    All vectors of one name have the same dimension, which `tracks.vectors` checks.
    """

    track = models.ForeignKey(Track, models.CASCADE, related_name="vectors", db_index=False)
    name = models.CharField(max_length=64, help_text="What computed it.")
    dimension = models.PositiveSmallIntegerField()
    embedding = models.BinaryField(help_text="float32, little-endian.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "track_vectors"
        constraints = [
            models.UniqueConstraint(fields=["track", "name"], name="track_vector_unique"),
            models.CheckConstraint(condition=Q(dimension__range=(1, 4096)), name="track_vector_dimension"),
        ]
        indexes = [models.Index(fields=["name", "track"], name="track_vector_name")]

    def __str__(self) -> str:
        return f"{self.name} of {self.track_id}"


class SearchDocument(models.Model):
    """The text by which one object of the catalogue is found, normalised by `tracks.search.words`.

    The migrations create the index of `words`: GIN on PostgreSQL, FTS5 on SQLite.
    """

    title = models.CharField(max_length=255)
    artist_name = models.CharField(max_length=255, blank=True)
    words = models.TextField(blank=True, help_text="Title and artist, word by word.")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title


class TrackDocument(SearchDocument):
    track = models.OneToOneField(Track, models.CASCADE, primary_key=True, related_name="document")

    class Meta:
        indexes = [models.Index(fields=["title"], name="track_document_title", opclasses=["varchar_pattern_ops"])]


class AlbumDocument(SearchDocument):
    album = models.OneToOneField(Album, models.CASCADE, primary_key=True, related_name="document")

    class Meta:
        indexes = [models.Index(fields=["title"], name="album_document_title", opclasses=["varchar_pattern_ops"])]


class ArtistDocument(SearchDocument):
    artist = models.OneToOneField(Artist, models.CASCADE, primary_key=True, related_name="document")

    class Meta:
        indexes = [models.Index(fields=["title"], name="artist_document_title", opclasses=["varchar_pattern_ops"])]


class SearchWord(models.Model):
    """A word of some search document, by which typing errors are corrected.

    The keys consist of the word's length and its first or last letters. A misspelled word has one of them in common
    with the right one, unless both its ends are wrong.
    """

    word = models.CharField(max_length=64)
    head_key = models.CharField(max_length=5)
    tail_key = models.CharField(max_length=5)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["word"], name="search_word_unique")]
        indexes = [
            models.Index(fields=["head_key"], name="search_word_head"),
            models.Index(fields=["tail_key"], name="search_word_tail"),
        ]

    def __str__(self) -> str:
        return self.word
