"""Tables of interactions, exposures, blocks and exclusions, and of the imports and event batches they come from."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from tracks.models import Track

QUALIFIED_MILESTONE = 75  # percent of a track; a play that reaches it counts as qualified


class InteractionKind(models.TextChoices):
    PLAY = "play"
    SKIP = "skip"
    LIKE = "like"
    UNLIKE = "unlike"
    DISLIKE = "dislike"
    UNDISLIKE = "undislike"
    SHARE = "share"
    PLAYLIST_ADD = "playlist_add"
    PLAYLIST_REMOVE = "playlist_remove"


class Clock(models.TextChoices):
    """How the time of an event was found if the client's clock was wrong."""

    CORRECTED = "corrected"  # by the difference between the clocks of client and server when the batch was sent
    ARRIVAL = "arrival"  # the client's time was in the future: it is the time at which the event arrived


CLOCK_HELP = "Empty if the time is the client's; else its clock was wrong."


class Interaction(models.Model):
    """An event that recommenders learn from, or an imported total of `plays` plays."""

    Kind = InteractionKind

    class EndReason(models.TextChoices):
        """Why a play ended. The last three mean that the listener ended it."""

        FINISHED = "finished"
        INTERRUPTED = "interrupted"
        SKIPPED = "skipped"
        REPLACED = "replaced"
        STOPPED = "stopped"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="interactions", db_index=False)
    track = models.ForeignKey(Track, models.CASCADE, related_name="interactions")
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.PLAY)
    played_at = models.DateTimeField(db_index=True)
    plays = models.PositiveIntegerField(default=1, help_text="1 for an event, n for an imported total.")
    ms_played = models.PositiveIntegerField(null=True, blank=True)
    end_reason = models.CharField(max_length=16, choices=EndReason.choices, blank=True)
    milestone = models.PositiveSmallIntegerField(default=0, help_text="Percent of the track that was heard.")
    is_completed = models.BooleanField(default=False)
    is_skip = models.BooleanField(default=False, help_text="The listener ended it within 30 seconds.")
    is_listen = models.BooleanField(default=False, help_text="Half of the track was heard, or four minutes.")
    session_id = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=64, blank=True)
    context = models.CharField(
        max_length=64, blank=True, help_text="What the track was played from: a playlist, a radio."
    )
    recommendation_id = models.UUIDField(null=True, blank=True, help_text="The slate that the track was on.")
    position = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The position on that slate, from 1.")
    source = models.CharField(max_length=64, help_text="api, listenbrainz, or import: and the format.")
    event_id = models.UUIDField(
        default=uuid.uuid4, help_text="The client's id of the event. Sent twice, it is stored once."
    )
    clock = models.CharField(
        max_length=16, choices=Clock.choices, blank=True, default="", db_default="", help_text=CLOCK_HELP
    )
    reports = models.JSONField(
        null=True,
        blank=True,
        help_text="Who reported this play, and when it began according to them; empty if only the source did.",
    )
    learn = models.BooleanField(
        default=True, db_default=True, help_text="Off if the client said that recommenders must not learn from it."
    )
    shuffled = models.BooleanField(
        default=False, db_default=False, help_text="The player chose the track at random, so its place says nothing."
    )
    left_out = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Recommenders do not learn from it, because the client or an exclusion says so. It is derived.",
    )

    class Meta:
        db_table = "interactions"
        constraints = [
            models.UniqueConstraint(fields=["user", "event_id"], name="interaction_event_once"),
            models.CheckConstraint(condition=Q(plays__gte=1), name="interaction_plays_positive"),
            models.CheckConstraint(condition=Q(milestone__range=(0, 100)), name="interaction_milestone_percent"),
            models.CheckConstraint(
                condition=Q(ms_played=None) | Q(ms_played__gte=0), name="interaction_ms_not_negative"
            ),
            models.CheckConstraint(condition=Q(kind__in=InteractionKind.values), name="interaction_kind_known"),
        ]
        indexes = [
            models.Index(
                fields=["user", "-played_at"],
                include=["track", "kind", "is_skip", "plays", "milestone", "is_completed", "left_out"],
                name="interaction_of_listener",
            ),
            models.Index(
                fields=["recommendation_id"], name="interaction_of_slate", condition=Q(recommendation_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ExposureKind(models.TextChoices):
    IMPRESSION = "impression"
    CLICK = "click"
    PLAY_START = "play_start"


class Exposure(models.Model):
    """A listener saw, opened or started a track. It measures engagement; recommenders do not learn from it."""

    Kind = ExposureKind

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="exposures", db_index=False)
    track = models.ForeignKey(Track, models.CASCADE, related_name="exposures", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    occurred_at = models.DateTimeField(db_index=True)
    session_id = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=64, blank=True)
    context = models.CharField(max_length=64, blank=True)
    recommendation_id = models.UUIDField(null=True, blank=True, help_text="The slate that the track was on.")
    position = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The position on that slate, from 1.")
    event_id = models.UUIDField(
        default=uuid.uuid4, help_text="The client's id of the event. Sent twice, it is stored once."
    )
    clock = models.CharField(
        max_length=16, choices=Clock.choices, blank=True, default="", db_default="", help_text=CLOCK_HELP
    )

    class Meta:
        db_table = "exposures"
        constraints = [
            models.UniqueConstraint(fields=["user", "event_id"], name="exposure_event_once"),
            models.CheckConstraint(condition=Q(kind__in=ExposureKind.values), name="exposure_kind_known"),
        ]
        indexes = [
            models.Index(
                fields=["recommendation_id"], name="exposure_of_slate", condition=Q(recommendation_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class BlockKind(models.TextChoices):
    ARTIST = "artist"
    ALBUM = "album"
    TRACK = "track"
    GENRE = "genre"


class Block(models.Model):
    """An artist, album, track or genre that is not recommended to a listener, permanently or until a time."""

    Kind = BlockKind

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="blocks", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    target_id = models.BigIntegerField(help_text="The id of the artist, album, track or tag.")
    until = models.DateTimeField(null=True, blank=True, help_text="Empty for a block without end.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "blocks"
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "target_id"], name="block_once"),
            models.CheckConstraint(condition=Q(kind__in=BlockKind.values), name="block_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target_id}"


class ExclusionKind(models.TextChoices):
    TRACK = "track"
    PLAYLIST = "playlist"
    SESSION = "session"
    PERIOD = "period"


class Exclusion(models.Model):
    """Interactions of a listener that recommenders must not learn from, those that have been and those to come."""

    Kind = ExclusionKind

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="exclusions", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    track = models.ForeignKey(Track, models.CASCADE, null=True, blank=True, related_name="exclusions")
    name = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="The `context` of a playlist's events, or the `session_id` of a session's.",
    )
    since = models.DateTimeField(null=True, blank=True, help_text="Of a period: its begin.")
    until = models.DateTimeField(null=True, blank=True, help_text="Of a period: its end; empty while it goes on.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "exclusions"
        constraints = [
            models.UniqueConstraint(fields=["user", "track"], name="exclusion_of_track_once"),
            models.UniqueConstraint(
                fields=["user", "kind", "name"], condition=~Q(name=""), name="exclusion_of_name_once"
            ),
            models.UniqueConstraint(fields=["user", "since", "until"], name="exclusion_of_period_once"),
            models.CheckConstraint(
                condition=Q(kind=ExclusionKind.TRACK, track__isnull=False, name="", since=None, until=None)
                | Q(kind__in=["playlist", "session"], track=None, since=None, until=None) & ~Q(name="")
                | Q(kind=ExclusionKind.PERIOD, track=None, name="", since__isnull=False)
                & (Q(until=None) | Q(until__gt=F("since"))),
                name="exclusion_has_one_target",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class SliderKind(models.TextChoices):
    ARTIST = "artist"
    TAG = "tag"


class Slider(models.Model):
    """How much more, or less, of an artist or a tag a listener wants."""

    Kind = SliderKind

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sliders", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    target_id = models.BigIntegerField(help_text="The id of the artist or tag.")
    value = models.FloatField(default=1.0, help_text="From -1, as little as possible, to 1, as much as possible.")

    class Meta:
        db_table = "sliders"
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "target_id"], name="slider_once"),
            models.CheckConstraint(condition=Q(kind__in=SliderKind.values), name="slider_kind_known"),
            models.CheckConstraint(condition=Q(value__range=(-1, 1)) & ~Q(value=0), name="slider_value_in_range"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target_id}: {self.value:+}"


class DeclinedProposal(models.Model):
    """A proposal to leave something out that a listener has declined, so that it is not made again."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="declined_proposals", db_index=False
    )
    proposal_id = models.CharField(max_length=16)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "declined_proposals"
        constraints = [models.UniqueConstraint(fields=["user", "proposal_id"], name="declined_proposal_once")]

    def __str__(self) -> str:
        return self.proposal_id


class EventBatch(models.Model):
    """The receipt of a batch that was sent with an `Idempotency-Key`, to answer the same batch if it is sent again."""

    principal = models.CharField(max_length=32, help_text="The sender: user:ID or key:ID.")
    key = models.CharField(max_length=128)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the body.")
    receipt = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        db_table = "event_batches"
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="event_batch_once")]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"


class UnmatchedListen(models.Model):
    """A listen that waits for its track, which the catalogue lacks, and shows operators what is missing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="unmatched_listens", db_index=False)
    event_id = models.UUIDField(help_text="The event id of the interaction that it may become.")
    listened_at = models.DateTimeField()
    artist = models.CharField(max_length=512)
    title = models.CharField(max_length=512)
    match_key = models.CharField(max_length=255, db_index=True, help_text="The artist and title, normalised.")
    isrc = models.CharField("ISRC", max_length=12, blank=True)
    mbid = models.UUIDField("MBID", null=True, blank=True)
    ms_played = models.PositiveIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="The length of the track according to the client."
    )
    end_reason = models.CharField(max_length=16, blank=True)
    device = models.CharField(max_length=64, blank=True)
    context = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=64)
    reports = models.JSONField(null=True, blank=True, help_text="As for interactions.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "unmatched_listens"
        constraints = [models.UniqueConstraint(fields=["user", "event_id"], name="unmatched_listen_once")]
        indexes = [models.Index(fields=["user", "listened_at"], name="unmatched_of_listener")]

    def __str__(self) -> str:
        return f"{self.artist} – {self.title}"


class PlayingNow(models.Model):
    """The track that a listener's player has reported as playing at the moment. It is replaced by the next one."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="playing_now")
    track_metadata = models.JSONField(help_text="The names and identifiers of the track, as ListenBrainz writes them.")
    expires_at = models.DateTimeField(db_index=True, help_text="When the track ends, or ten minutes after the report.")

    class Meta:
        db_table = "playing_now"

    def __str__(self) -> str:
        return f"listener {self.pk}, until {self.expires_at:%Y-%m-%d %H:%M}"


class LatestImport(models.Model):
    """The time up to which a client has copied a listener's history from another service, to continue from there."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="latest_imports", db_index=False)
    service = models.CharField(max_length=64, help_text="The other service, such as lastfm.")
    listened_at = models.DateTimeField(help_text="The time of the newest listen that was copied.")

    class Meta:
        db_table = "latest_imports"
        constraints = [models.UniqueConstraint(fields=["user", "service"], name="latest_import_once")]

    def __str__(self) -> str:
        return f"{self.service} of listener {self.user_id}"


class HistoryImport(models.Model):
    """An import of a listening history that a listener uploaded, with its progress."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="history_imports")
    format = models.CharField(max_length=32)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    bytes_total = models.PositiveBigIntegerField(default=0)
    bytes_done = models.PositiveBigIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(
        default=0, help_text="Listens that were stored or waited before, or are listed twice."
    )
    unmatched = models.PositiveIntegerField(
        default=0, help_text="Listens that wait from now on, because the catalogue does not have their tracks."
    )
    refused = models.PositiveIntegerField(default=0)
    detail = models.TextField(
        blank=True, help_text="The error, or each reason for which rows or files were not imported, with its number."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "history_imports"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.format} {self.created_at:%Y-%m-%d %H:%M}"


class PopularTrack(models.Model):
    """A track with many listeners, for responses without a model. Refreshed by imports and training runs."""

    track = models.OneToOneField(Track, models.CASCADE, primary_key=True, related_name="popularity")
    listeners = models.PositiveIntegerField()

    class Meta:
        db_table = "popular_tracks"

    def __str__(self) -> str:
        return f"track {self.pk}: {self.listeners} listeners"
