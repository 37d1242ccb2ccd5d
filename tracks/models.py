"""The catalogue. `external_id` is a thing's id in the service it was imported from, as `namespace:id`."""

import uuid
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from access.services import new_revision
from tracks.match_keys import match_key

CREDIBLE_TEMPO = (20, 400)  # beats per minute


def external_id_field() -> "models.CharField[str | None, str | None]":
    return models.CharField(max_length=128, unique=True, null=True, blank=True)


def mbid_field() -> "models.UUIDField[uuid.UUID | str | None, uuid.UUID | None]":
    return models.UUIDField("MBID", unique=True, null=True, blank=True)


class Catalogue(models.Model):
    """One row: which state the catalogue is in."""

    revision = models.BigIntegerField(help_text="Another number whenever something of the catalogue changes.")

    class Meta:
        db_table = "catalogue"

    def __str__(self) -> str:
        return str(self.revision)

    @staticmethod
    def changed() -> None:
        """From the commit on, no answer made before is as it should be."""
        Catalogue.objects.bulk_create(
            [Catalogue(pk=1, revision=new_revision())],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=["revision"],
        )


class ListedQuerySet(models.QuerySet[Any, Any]):
    """Whatever changes rows says so. New tracks need not: no answer made before is wrong without them."""

    def update(self, **values: Any) -> int:
        changed = super().update(**values)
        Catalogue.changed()
        return changed

    def delete(self) -> tuple[int, dict[str, int]]:
        deleted = super().delete()
        Catalogue.changed()
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Listed(models.Model):
    """What answers show, or choose by."""

    objects = ListedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        Catalogue.changed()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        Catalogue.changed()
        return deleted


class Artist(Listed):
    name = models.CharField(max_length=512)
    external_id = external_id_field()
    mbid = mbid_field()

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new name is one of their tracks' match keys."""
        renamed = not self._state.adding
        super().save(*args, **kwargs)
        if renamed:
            Track.keep_keys(self)


class Album(Listed):
    title = models.CharField(max_length=512)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")
    year = models.PositiveSmallIntegerField(null=True, blank=True)
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


class Track(Listed):
    title = models.CharField(max_length=512)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="tracks")
    album = models.ForeignKey(Album, models.SET_NULL, null=True, blank=True, related_name="tracks")
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    preview_url = models.URLField(max_length=512, blank=True)
    cover_url = models.URLField(max_length=512, blank=True)
    external_id = external_id_field()
    mbid = mbid_field()
    isrc = models.CharField("ISRC", max_length=12, unique=True, null=True, blank=True)
    tempo = models.FloatField(null=True, blank=True, help_text="Beats per minute.")
    energy = models.FloatField(null=True, blank=True, help_text="0 calm … 1 intense.")
    valence = models.FloatField(null=True, blank=True, help_text="0 sad … 1 cheerful.")
    danceability = models.FloatField(null=True, blank=True, help_text="0 … 1.")
    acousticness = models.FloatField(null=True, blank=True, help_text="0 … 1.")
    tags = models.ManyToManyField(Tag, through="TrackTag", related_name="tracks")
    explicit = models.BooleanField(default=False, help_text="Left out for listeners who do not want it.")
    markets = models.CharField(
        max_length=1024,
        blank=True,
        validators=[RegexValidator(r"^([A-Z]{2}( [A-Z]{2})*)?$", "countries as in ISO 3166-1, as: AT CH DE")],
        help_text="The countries it may be offered in, as: AT CH DE. Empty: everywhere.",
    )
    taken_down_at = models.DateTimeField(null=True, blank=True, help_text="Set: offered to nobody from then on.")
    match_key = models.CharField(
        max_length=255, blank=True, db_index=True, editable=False, help_text="Artist and title, normalised."
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
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """With the key that artist and title make."""
        self.match_key = match_key(self.artist.name, self.title)
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "match_key"}
        super().save(*args, **kwargs)

    @classmethod
    def keep_keys(cls, artist: Artist) -> None:
        """Bring the keys of an artist's tracks in line with the artist's name."""
        changed = []
        for track in cls.objects.filter(artist=artist).only("title", "match_key"):
            if (key := match_key(artist.name, track.title)) != track.match_key:
                track.match_key = key
                changed.append(track)
        cls.objects.bulk_update(changed, ["match_key"], batch_size=500)


class TrackTag(Listed):
    track = models.ForeignKey(Track, models.CASCADE, related_name="track_tags")
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="track_tags")
    weight = models.FloatField(default=1.0, help_text="How strongly; for people's tags, how many gave it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["track", "tag"], name="track_tag_unique"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="track_tag_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.tag_id} of {self.track_id}"
