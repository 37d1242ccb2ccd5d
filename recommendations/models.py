"""Tables of versions, training runs, tuning studies, listener factors, policies, radios and alarms."""

import uuid

import numpy as np
from django.conf import settings
from django.db import models
from django.db.models import Q
from numpy.typing import NDArray

from access.models import User
from recommendations.training.quality_gate import report_ndcg


class Installation(models.Model):
    """The single row with the id of this database, which the versions that were trained on it carry."""

    identity = models.UUIDField(default=uuid.uuid4, editable=False)

    class Meta:
        db_table = "installation"

    def __str__(self) -> str:
        return str(self.identity)


class Listener(User):
    """A listener on the page that shows operators what they play and why tracks are recommended to them.

    The rows are those of `User`. The permission to view them is one of its own, because the page shows personal data.
    """

    class Meta:
        proxy = True
        default_permissions = ("view",)


class ModelArtifact(models.Model):
    """A trained version. Which one is in service is decided by the pointer on disk, not by this table."""

    class Gate(models.TextChoices):
        PASSED = "passed"
        HELD_BACK = "held_back", "Held back"

    version = models.CharField(max_length=64, unique=True)
    algorithm = models.CharField(max_length=128, help_text="The families of its components, joined by +.")
    fingerprint = models.CharField(
        max_length=64, help_text="Hash of the plays and the configuration it was trained with."
    )
    gate = models.CharField(max_length=16, choices=Gate.choices)
    gate_reason = models.CharField(max_length=512, blank=True)
    items = models.PositiveIntegerField()
    users = models.PositiveIntegerField()
    plays = models.PositiveBigIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    manifest = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True, help_text="When it last went into service.")
    projected_at = models.DateTimeField(
        null=True, blank=True, help_text="When its listener factors were last copied to user_features."
    )
    pruned_at = models.DateTimeField(null=True, blank=True, help_text="When its files were removed.")

    class Meta:
        db_table = "model_artifacts"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.version

    @property
    def ndcg(self) -> float | None:
        """NDCG@10 on the held-out plays, for the question that decides; None if there were none."""
        return report_ndcg(self.manifest.get("report", {}))


class TrainingRun(models.Model):
    """One run of training, successful or not."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        PUBLISHED = "published"
        HELD_BACK = "held_back", "Held back"
        UNCHANGED = "unchanged"
        FAILED = "failed"

    trigger = models.CharField(max_length=32, help_text="schedule, command, admin or api.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    stage = models.CharField(max_length=32, blank=True)
    detail = models.TextField(blank=True, help_text="The result, or what went wrong.")
    artifact = models.ForeignKey(ModelArtifact, models.SET_NULL, null=True, blank=True, related_name="runs")
    seconds = models.JSONField(default=dict, help_text="Seconds by stage.")
    peak_memory_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    host = models.CharField(max_length=128, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "training_runs"
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "running"], finished_at=None)
                | ~Q(status__in=["waiting", "running"]) & Q(finished_at__isnull=False),
                name="training_run_finished_when_over",
            )
        ]

    def __str__(self) -> str:
        return f"{self.trigger} {self.started_at:%Y-%m-%d %H:%M}"


class TuningStudy(models.Model):
    """One search for a better ensemble."""

    class Status(models.TextChoices):
        RUNNING = "running"
        ADOPTED = "adopted"
        HELD_BACK = "held_back", "Held back"
        NO_BETTER = "no_better", "No better"
        TRIED = "tried", "Tried, not trained"
        INTERRUPTED = "interrupted"
        FAILED = "failed"

    trigger = models.CharField(max_length=32, help_text="schedule, command or admin.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    fingerprint = models.CharField(
        max_length=64, help_text="Hash of the plays it uses; a killed study over the same plays is resumed."
    )
    split = models.CharField(max_length=16, blank=True, help_text="How those plays were split.")
    budget_seconds = models.FloatField()
    seconds = models.FloatField(null=True, blank=True, help_text="Time spent on the search, without interruptions.")
    detail = models.TextField(blank=True, help_text="The result, or what went wrong.")
    score = models.FloatField(
        null=True, blank=True, help_text="NDCG@10 of the best ensemble on the plays it was chosen on."
    )
    score_in_use = models.FloatField(
        null=True, blank=True, help_text="NDCG@10 of the ensemble in use until then, on the same plays."
    )
    recipe = models.JSONField(null=True, blank=True, help_text="Configuration of the best ensemble.")
    best_of = models.JSONField(default=dict, help_text="The best NDCG@10 of each family.")
    artifact = models.ForeignKey(ModelArtifact, models.SET_NULL, null=True, blank=True, related_name="studies")
    host = models.CharField(max_length=128, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "tuning_studies"
        ordering = ["-started_at"]
        verbose_name_plural = "tuning studies"

    def __str__(self) -> str:
        return f"{self.trigger} {self.started_at:%Y-%m-%d %H:%M}"


class TuningTrial(models.Model):
    """One family with one set of hyperparameters, fitted and evaluated."""

    study = models.ForeignKey(TuningStudy, models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField(help_text="From 1, in the order of the search.")
    family = models.CharField(max_length=32)
    parameters = models.JSONField()
    score = models.FloatField(null=True, blank=True, help_text="NDCG@10; empty if it could not be fitted.")
    seconds = models.FloatField()
    note = models.CharField(max_length=512, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "tuning_trials"
        ordering = ["study", "number"]
        constraints = [models.UniqueConstraint(fields=["study", "number"], name="tuning_trial_once")]

    def __str__(self) -> str:
        return f"{self.family} {self.score}"


class UserFeatures(models.Model):
    """A listener's factors in the version in service, for the admin and reports; serving reads the bundle instead."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="features")
    version = models.CharField(max_length=64)
    embedding = models.BinaryField(help_text="float32, little-endian.")
    interactions = models.PositiveIntegerField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "user_features"
        verbose_name = verbose_name_plural = "user features"

    def __str__(self) -> str:
        return f"user {self.pk}"

    @property
    def vector(self) -> NDArray[np.float32]:
        """The factors, float32 (factors,)."""
        return np.frombuffer(bytes(self.embedding), dtype="<f4")


class Radio(models.Model):
    """A radio: what it is made from, and the tracks that it has offered."""

    class Mode(models.TextChoices):
        EASY = "easy"
        MEDIUM = "medium"
        HARD = "hard"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="radios")
    prompt = models.CharField(max_length=1024, blank=True, help_text="As it was sent; empty for one from seeds.")
    seeds = models.JSONField(help_text="What it is made from, with the tracks that stand for each seed.")
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.EASY)
    drift = models.FloatField(default=0.0, help_text="0: it stays at its seeds, 1: it goes where its listener goes.")
    only_seeds = models.BooleanField(default=False, help_text="Whether it offers the tracks of its seeds only.")
    market = models.CharField(max_length=2, blank=True, help_text="The listener's own if empty.")
    explicit = models.BooleanField(default=True, help_text="Off: no explicit tracks.")
    track_ids = models.JSONField(default=list, help_text="The tracks that it has offered, in order.")
    offered = models.PositiveIntegerField(
        default=0, help_text="Their number, by which a process notices that another one has answered meanwhile."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(auto_now_add=True, db_index=True, help_text="When it was last asked.")

    class Meta:
        db_table = "radios"
        constraints = [models.CheckConstraint(condition=Q(drift__range=(0, 1)), name="radio_drift_fraction")]

    def __str__(self) -> str:
        return str(self.pk)


class StoredMixes(models.Model):
    """The mixes of one listener for one day, or those of everybody in a market, which have no listener."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="mixes")
    market = models.CharField(max_length=2, blank=True, help_text="Of those without a listener; empty for all markets.")
    day = models.DateField(help_text="The UTC day that they are for.")
    shelves = models.JSONField(default=list, help_text="The mixes with their tracks, in order.")
    model_version = models.CharField(max_length=64, blank=True, help_text="That made them; empty without a model.")
    basis = models.PositiveBigIntegerField(
        default=0,
        help_text="The interactions or tracks they rest on; made anew when these have doubled.",
    )
    generated_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "mixes"
        verbose_name_plural = "stored mixes"
        constraints = [
            models.UniqueConstraint(fields=["user", "day"], condition=Q(user__isnull=False), name="mixes_of_listener"),
            models.UniqueConstraint(fields=["market", "day"], condition=Q(user=None), name="mixes_of_market"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id or self.market} {self.day}"


class PolicyVersion(models.Model):
    """A version of a policy. It never changes, apart from whether it is in use: editing a policy adds a version.

    Version 0 of the policies that are built in has no row. It is in use if no row of its name is.
    """

    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField(help_text="From 1; 0 is built in.")
    content = models.JSONField(help_text="Sources, weights, dials and caps, as `Policy.to_dict` returns them.")
    note = models.CharField(max_length=512, blank=True, help_text="Why it was made.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="policy_versions"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    in_use = models.BooleanField(default=False, help_text="Whether answers are made by it.")
    used_at = models.DateTimeField(null=True, blank=True, help_text="When it last went into use.")

    class Meta:
        db_table = "policies"
        ordering = ["name", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="policy_version_once"),
            models.UniqueConstraint(fields=["name"], condition=Q(in_use=True), name="policy_in_use_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="policy_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Alarm(models.Model):
    """Something the operator should know. A repetition increases the count instead of adding a row."""

    kind = models.CharField(max_length=64)
    subject = models.CharField(max_length=128, blank=True)
    message = models.TextField()
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(auto_now=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "alarms"
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], condition=Q(resolved_at=None), name="alarm_open_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
