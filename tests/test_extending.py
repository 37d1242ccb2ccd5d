"""Each extension that docs/explanation/extending.md walks through, added as the page says, used, and removed again."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from rest_framework.test import APIClient

from access.models import User
from common.charts import NUMBER
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.models import FAMILIES, register
from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_per_row
from engine.pipeline import POLICIES, Dials, Policy, recommend, register_policy
from engine.ranking.objectives import OBJECTIVES
from engine.retrieval.candidates import SOURCES, Query, register_source
from engine.retrieval.exact_search import Floats, Rows, TopK
from engine.tuning.space import search_shares
from importers import IMPORTERS, Importer, PlayRecord, Record, TrackRecord, register_importer
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.registry import HISTORY_IMPORTERS, HistoryImporter, register_history_importer
from importers.records import ListenRecord, RefusedRow, play_event_id
from interactions.imports.data_set import import_data_set
from interactions.imports.listening_history import import_history
from interactions.models import Interaction
from musicrec.processes import ROOT
from recommendations.admin import history
from recommendations.admin.history import HistoryChart, quality_history
from recommendations.serving import recommend as serving
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from tests.engine.factories import train_checkerboard
from tests.engine.models.contract import PersonalFamilyContract
from tests.engine.shaped_worlds import LISTENER_ROW, make_bundle
from tests.importers.histories.history_files import detect_format
from tests.people import CatalogueFactory, store_track
from tracks.models import Track

PAGE = ROOT / "docs" / "explanation" / "extending.md"


def newest(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Propose the tracks that were added to the catalogue last; the score is the track id."""
    newest_first = np.arange(len(bundle.items))[::-1]
    rows = newest_first[workspace.available(newest_first)][:k]
    return rows, bundle.items.ids[rows].astype(np.float64)


def rarity(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return 1 for a track with a single listener, and less the more it has."""
    return 1 / np.maximum(bundle.popularity[rows].astype(np.float64), 1)


@dataclass(frozen=True)
class CommonListeners(Trainer):
    """Weight a pair of tracks by the number of listeners they share, to the power of `exponent`."""

    family: ClassVar[str] = "common_listeners"
    search_space: ClassVar[SearchSpace] = {"exponent": NumberRange(0.5, 2.0)}
    search_share: ClassVar[float] = 0.1
    exponent: float = 1.0
    neighbours: int = 100

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        played = sp.csr_matrix(matrix > 0, dtype=np.float32)
        common_listeners = sp.csr_matrix((played.T @ played).power(self.exponent))
        common_listeners.setdiag(0)
        callbacks.on_step(1, 1)
        return FittedModel(neighbours=top_k_per_row(common_listeners, self.neighbours))


def read_lines(
    paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]
) -> Iterator[Record]:
    """Stream lines of `listener|artist|title`; each is a track, and a play of it."""
    for number, line in enumerate(paths[0].read_text().splitlines(), 1):
        user, artist, title = line.split("|")
        track_id, user_id = f"{namespace}:{artist}/{title}", f"{namespace}:{user}"
        yield TrackRecord(track_id, title, artist, artist_id=f"{namespace}:{artist}", file=paths[0].name, line=number)
        event_id = play_event_id(namespace, user_id, track_id, as_of, "play")
        yield PlayRecord(user_id, track_id, as_of, milestone=100, is_completed=True, event_id=event_id)
        on_bytes(len(line) + 1)


LINES = Importer("lines", read_lines, total_bytes=lambda paths: paths[0].stat().st_size, namespace="lines")


def read_diary(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream lines of `UNIX seconds|artist|title`, below the line DIARY."""
    text = b"".join(read_blocks(file, on_bytes)).decode()
    for number, line in enumerate(text.splitlines()[1:], 2):
        time, artist, title = line.split("|")
        if int(time) > latest:
            yield RefusedRow(str(file), number, f"time: {time} is in the future")
        else:
            yield ListenRecord(artist, title, int(time), file=str(file), line=number)


DIARY = HistoryImporter(
    "diary",
    read_diary,
    includes_member=lambda member: member.endswith(".diary"),
    recognizes_text=lambda text: text.startswith("DIARY"),
)


REGISTRIES: list[dict[str, Any]] = [SOURCES, POLICIES, FAMILIES, IMPORTERS, HISTORY_IMPORTERS]


@pytest.fixture
def registries() -> Iterator[None]:
    """Remove what a test registers."""
    entries, charts = [dict(registry) for registry in REGISTRIES], list(history.CHARTS)
    yield
    for registry, before in zip(REGISTRIES, entries, strict=True):
        registry.clear()
        registry.update(before)
    history.CHARTS[:] = charts


@pytest.fixture
def world(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    """A checkerboard of 20 listeners and tracks, with a version in service."""
    users_and_tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users_and_tracks


@pytest.mark.one_stack
@pytest.mark.parametrize("example", [newest, rarity, CommonListeners, read_lines, read_diary], ids=lambda e: e.__name__)
def test_the_page_shows_the_code_that_is_tested_here(example: Any) -> None:
    assert inspect.getsource(example) in PAGE.read_text()


@pytest.mark.usefixtures("registries")
def test_the_candidates_of_a_new_source_are_served_under_its_name(
    service: APIClient, world: tuple[list[User], list[Track]], monkeypatch: pytest.MonkeyPatch
) -> None:
    register_source("newest", newest)
    personal = POLICIES["personal"]
    monkeypatch.setitem(POLICIES, "personal", replace(personal, sources={"newest": 1.0, "personal": 0.1}))
    users, tracks = world
    # All tracks that listener 0 has not played; the newest is track 19.
    expected = [tracks[number].pk for number in (19, 17, 15)]
    response = service.get(f"/recommend/user/{users[0].pk}/ml?limit=3").json()
    assert [(r["track_id"], r["source"], r["score"]) for r in response["results"]] == [
        (track_id, "newest", track_id) for track_id in expected
    ]
    assert (response["strategy"], response["fallback_reason"]) == ("newest", None)
    batch = service.post("/recommend/batch", {"users": [users[0].pk], "limit": 3}, format="json").json()
    assert [(r["track_id"], r["source"]) for r in batch["answers"][0]["results"]] == [
        (track_id, "newest") for track_id in expected
    ]


@pytest.mark.usefixtures("registries")
def test_a_new_source_obeys_the_filters(
    service: APIClient, world: tuple[list[User], list[Track]], monkeypatch: pytest.MonkeyPatch
) -> None:
    register_source("newest", newest)
    monkeypatch.setitem(POLICIES, "personal", replace(POLICIES["personal"], sources={"newest": 1.0}, fill=()))
    users, tracks = world
    assert service.put(f"/users/{users[0].pk}/dislikes/{tracks[19].pk}").status_code == 204
    response = service.get(f"/recommend/user/{users[0].pk}/ml?limit=1").json()
    assert [r["track_id"] for r in response["results"]] == [tracks[17].pk]


@pytest.mark.usefixtures("registries")
def test_a_new_policy_is_served(
    service: APIClient, world: tuple[list[User], list[Track]], monkeypatch: pytest.MonkeyPatch
) -> None:
    register_source("newest", newest)
    policy = register_policy(Policy("latest", {"newest": 1.0}, fill=("popular",)))
    monkeypatch.setattr(serving, "assign_policy", lambda request, context: policy)
    users, tracks = world
    response = service.get(f"/recommend/user/{users[0].pk}/ml?limit=2").json()
    assert [(r["track_id"], r["source"]) for r in response["results"]] == [
        (tracks[number].pk, "newest") for number in (19, 17)
    ]


@pytest.mark.one_stack
def test_a_dial_weights_its_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle([3, 2, 1], popularity=[100, 100, 1])
    query = Query(3, user_row=LISTENER_ROW)
    policy = Policy("rare", {"personal": 1.0}, dials=Dials(novelty=1.0))
    monkeypatch.setitem(OBJECTIVES, "novelty", lambda bundle, query, rows: np.zeros(len(rows)))
    assert [pick.track_id for pick in recommend(bundle, query, policy).picks] == [1000, 1001, 1002]
    monkeypatch.setitem(OBJECTIVES, "novelty", rarity)  # relevance 1, 0.5, 0 and rarity 0.01, 0.01, 1
    assert [pick.track_id for pick in recommend(bundle, query, policy).picks] == [1000, 1002, 1001]


class TestCommonListeners(PersonalFamilyContract):
    checkerboard_trainer = CommonListeners()
    taste_trainer = CommonListeners()
    ignores_confidences = True  # it learns who played what, whatever the confidence

    @pytest.fixture(autouse=True)
    def _register(self, registries: None) -> None:
        register(CommonListeners)


@pytest.mark.usefixtures("registries")
def test_a_new_family_is_trained_stored_and_searched() -> None:
    register(CommonListeners)
    trained = train_checkerboard(trainer=CommonListeners(exponent=1.5))
    assert (trained.bundle.algorithm, trained.manifest["fallback"]) == ("common_listeners", None)
    assert search_shares()["common_listeners"] == 0.1


@pytest.mark.usefixtures("registries")
def test_a_new_family_is_trained_and_served_by_its_setting(
    service: APIClient, catalogue: CatalogueFactory, settings: Any
) -> None:
    register(CommonListeners)
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "common_listeners"}
    users, tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    assert model_cache.current().bundle.algorithm == "common_listeners"
    response = service.get(f"/recommend/user/{users[4].pk}/ml?limit=1").json()
    assert [(r["track_id"], r["source"]) for r in response["results"]] == [(tracks[4].pk, "personal")]


@pytest.mark.django_db
@pytest.mark.usefixtures("registries")
def test_a_new_format_of_data_sets_is_imported(tmp_path: Path) -> None:
    register_importer(LINES)
    path = tmp_path / "plays.lines"
    path.write_text("ann|The Larks|Dawn\nben|The Larks|Dusk\n")
    options = {"namespace": "lines", "as_of": 1_700_000_000}
    assert str(import_data_set("lines", [path], **options)) == (
        "2 tracks added, 0 changed; 2 plays added, 0 known already; 0 refused"
    )
    assert import_data_set("lines", [path], **options).plays_added == 0
    assert sorted(Interaction.objects.values_list("user__external_id", "track__title", "source")) == [
        ("lines:ann", "Dawn", "import:lines"),
        ("lines:ben", "Dusk", "import:lines"),
    ]


@pytest.mark.usefixtures("registries")
def test_a_new_format_of_listening_histories_is_detected_and_imported(
    alice: User, catalogue: CatalogueFactory, tmp_path: Path
) -> None:
    register_history_importer(DIARY)
    track = store_track(title="Dawn", artist=catalogue.artist)
    path = tmp_path / "my.txt"
    path.write_text("DIARY\n1700000000|The Testers|Dawn\n1700000000|Nobody|Unknown\n99999999999|The Testers|Dawn\n")
    assert detect_format(path) == "diary"
    report = import_history(alice.pk, [path])
    assert (report.added, report.unmatched, report.refused) == (1, 1, 1)
    assert Interaction.objects.filter(user=alice, track=track, source="import:diary").count() == 1


@pytest.mark.usefixtures("registries", "world")
def test_a_new_chart_appears_on_the_page_of_versions() -> None:
    history.CHARTS.append(
        HistoryChart("density", "Plays per listener", NUMBER, {"Plays per listener": lambda v: v.artifact.plays / 20})
    )
    chart = next(chart for chart in quality_history("ndcg@10", "new")["charts"] if chart.name == "density")
    assert chart.title == "Plays per listener"
    assert [list(series.values) for series in chart.series] == [[9.0]]
