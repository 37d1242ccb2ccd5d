import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.bundle import files
from engine.bundle.files import UnsupportedFormat
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.bundle.npz import DamagedFile, map_npz, save_npz
from engine.bundle.versions import Pointer, VersionStore
from engine.data.confidence import ConfidenceWeights, PlayStatistics
from engine.data.id_map import IdMap
from engine.data.track_features import NO_DATE, UNKNOWN_ID, TrackFeatures
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.models.listening_context import ContextModel
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from tests.engine.factories import checkerboard, have_same_arrays, train_checkerboard

TRAINED = train_checkerboard()


def make_ensemble_bundle() -> ModelBundle:
    """Build a bundle of four components: neighbours, factors, popularity, neighbours."""
    plays = checkerboard()
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(np.arange(100, 121))
    pairs = UserItemPairs.from_plays(plays, users, items)
    parts = (
        ComponentConfig(RP3Beta(neighbours=5), ConfidenceWeights(transform="log", half_life=30.0), damping=0.3),
        ComponentConfig(IALS(factors=2, iterations=3, exponent=0.5, activity=-0.5), damping=0.1),
        ComponentConfig(Popularity()),
        ComponentConfig(SLIM(l2=2.0, candidates=7)),
    )
    recipe = EnsembleConfig(parts, BlendWeights((0.4, 0.3, 0.2, 0.1), (0.1, 0.2, 0.3, 0.4), 12))
    learnt = fit_ensemble(pairs, (20, 21), recipe, seed=1, threads=1).models
    return assemble_bundle(
        version="v1",
        items=items,
        popularity=count_listeners(pairs, 21),
        ensemble=recipe,
        fitted_models=learnt,
        users=users,
        statistics=PlayStatistics.from_pairs(pairs),
    )


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "models")


def write(store: VersionStore, *versions: str) -> None:
    for version in versions:
        store.write(replace(TRAINED.bundle, version=version), TRAINED.manifest)


def test_a_version_is_loaded_as_it_was_written(store: VersionStore) -> None:
    write(store, "v1")
    loaded = store.load("v1")
    assert have_same_arrays(loaded, TRAINED.bundle)
    assert (loaded.version, loaded.algorithm, loaded.ensemble) == ("v1", "als", TRAINED.bundle.ensemble)
    assert (loaded.fold_in, loaded.statistics) == (TRAINED.bundle.fold_in, TRAINED.bundle.statistics)
    assert store.manifest("v1")["report"] == TRAINED.manifest["report"]
    with np.load(store.folder("v1") / "model.npz") as plain:
        np.testing.assert_array_equal(plain["item_factors"], TRAINED.bundle.item_factors)


def test_an_ensemble_is_loaded_with_the_neighbours_of_each_component(store: VersionStore) -> None:
    bundle = make_ensemble_bundle()
    store.write(bundle, {})
    loaded = store.load("v1")
    assert have_same_arrays(loaded, bundle)
    assert [one is not None for one in loaded.neighbours] == [True, False, False, True]
    assert (loaded.factor_component, loaded.algorithm) == (1, "rp3beta+ials+popularity+slim")
    steering = ("ensemble", "fold_in", "statistics")
    assert [getattr(loaded, name) for name in steering] == [getattr(bundle, name) for name in steering]


def test_the_judged_model_is_loaded_without_its_listeners(store: VersionStore) -> None:
    judged = replace(make_ensemble_bundle(), version=None)
    store.write(replace(TRAINED.bundle, version="v1"), TRAINED.manifest, judged=judged)
    loaded = store.load_judged("v1")
    assert have_same_arrays(loaded, judged.without_listeners())
    assert (loaded.version, len(loaded.users), loaded.ensemble) == ("v1", 0, judged.ensemble)
    assert have_same_arrays(store.load("v1"), TRAINED.bundle)


def test_a_missing_or_damaged_judged_model_is_refused_and_the_version_still_loads(store: VersionStore) -> None:
    write(store, "v1")
    with pytest.raises(FileNotFoundError, match=r"judged\.npz"):
        store.load_judged("v1")
    folder = store.write(replace(TRAINED.bundle, version="v2"), {}, judged=make_ensemble_bundle())
    content = bytearray((folder / "judged.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "judged.npz").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"judged\.npz"):
        store.load_judged("v2")
    assert have_same_arrays(store.load("v2"), TRAINED.bundle)


def test_neighbours_with_a_flipped_bit_are_refused(store: VersionStore) -> None:
    bundle = make_ensemble_bundle()
    model = store.write(bundle, {}) / "model.npz"
    assert bundle.neighbours[0] is not None
    content, weights = bytearray(model.read_bytes()), bundle.neighbours[0].weights.tobytes()
    content[content.index(weights) + 5] ^= 1
    model.write_bytes(content)
    with pytest.raises(DamagedFile, match="neighbours0_weights"):
        store.load("v1")


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("neighbours0_indptr", lambda a: a[:-1]),
        ("neighbours0_indices", lambda a: a[:-1]),
        ("neighbours0_indices", lambda a: a.astype(np.int64)),
        ("neighbours3_weights", lambda a: a[:, None]),
        ("neighbours3_weights", lambda a: np.append(a, a)),
        ("neighbours3_weights", None),
        ("neighbours9_weights", lambda a: np.zeros(3, np.float32)),
    ],
)
def test_neighbours_of_the_wrong_shape_are_refused(
    store: VersionStore, name: str, spoilt: Callable[[NDArray[Any]], NDArray[Any]] | None
) -> None:
    model = store.write(make_ensemble_bundle(), {}) / "model.npz"
    arrays = {n: np.array(a) for n, a in map_npz(model).items()}
    before = arrays.pop(name, np.zeros(0))
    save_npz(model, arrays if spoilt is None else arrays | {name: spoilt(before)})
    with pytest.raises(DamagedFile, match=r"model\.npz"):
        store.load("v1")


def test_the_pointer_contains_the_previous_version(store: VersionStore) -> None:
    write(store, "v1", "v2")
    assert store.pointer() is None
    assert store.publish("v1") == Pointer("v1", None)
    stamp = store.pointer_stamp()
    assert store.publish("v2") == store.pointer() == Pointer("v2", "v1")
    assert store.pointer_stamp() != stamp
    assert store.publish("v2") == Pointer("v2", "v1")  # twice is once
    assert store.publish("v1") == Pointer("v1", "v2")


def test_a_version_that_does_not_load_is_not_published(store: VersionStore) -> None:
    write(store, "v1", "v2")
    store.publish("v1")
    (store.folder("v2") / "model.npz").write_bytes(b"short")
    with pytest.raises(DamagedFile):
        store.publish("v2")
    with pytest.raises(FileNotFoundError):
        store.publish("v3")
    assert store.pointer() == Pointer("v1", None)


def test_pruning_keeps_the_newest_the_current_and_the_previous_version(store: VersionStore) -> None:
    write(store, "v1", "v2", "v3", "v4", "v5")
    store.publish("v1")
    store.publish("v2")
    assert store.prune(keep=2) == ["v3"]
    assert store.versions() == ["v1", "v2", "v4", "v5"]


def test_pruning_removes_folders_that_no_run_recorded(store: VersionStore) -> None:
    write(store, "v1", "v2", "v3")
    store.publish("v1")
    assert store.prune(keep=5, recorded=["v1", "v2"]) == ["v3"]


def test_only_unfinished_files_are_removed(store: VersionStore) -> None:
    write(store, "v1")
    store.publish("v1")
    (store.root / "v2.tmp").mkdir()
    (store.root / "v2.tmp" / "model.npz").write_bytes(b"half")
    (store.root / "current.json.tmp").write_text("{")
    store.remove_unfinished()
    assert sorted(p.name for p in store.root.iterdir()) == ["current.json", "v1"]


def test_an_unfinished_folder_is_not_a_version(store: VersionStore) -> None:
    (store.root / "v9.tmp").mkdir(parents=True)
    assert store.versions() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 3}', '{"version": "../x", "previous": null}'])
def test_the_error_of_an_unreadable_pointer_says_what_to_do(store: VersionStore, content: str) -> None:
    store.root.mkdir()
    (store.root / "current.json").write_text(content)
    with pytest.raises(DamagedFile, match="publish a version again"):
        store.pointer()


@pytest.mark.parametrize("other", [1, 99, None])
def test_the_error_of_another_format_says_what_to_do(store: VersionStore, other: int | None) -> None:
    write(store, "v1")
    path = store.folder("v1") / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": other}))
    with pytest.raises(
        UnsupportedFormat, match=f"format version {other}, this release reads 2, 3, 4 and 5; train a new version"
    ):
        store.load("v1")


def test_a_version_of_format_2_is_sorted_when_it_is_loaded(
    store: VersionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, "new")
    with monkeypatch.context() as before:
        before.setattr(files, "SORTED_ITEMS_ARRAYS", {})
        before.setattr(files, "FORMAT_VERSION", 2)
        write(store, "old")
    new, old = store.load("new"), store.load("old")
    assert (new.stored_items is None, old.stored_items is None) == (False, True)
    for name in files.SORTED_ITEMS_ARRAYS:
        np.testing.assert_array_equal(getattr(old.norm_sorted_items, name), getattr(new.norm_sorted_items, name))


@pytest.mark.parametrize("damage", [{"rows": np.int64}, {"norms": np.float64}])
def test_sorted_items_of_the_wrong_dtype_are_refused(store: VersionStore, damage: dict[str, Any]) -> None:
    [(name, dtype)] = damage.items()
    bundle = replace(TRAINED.bundle, version="v1")
    object.__setattr__(bundle.norm_sorted_items, name, getattr(bundle.norm_sorted_items, name).astype(dtype))
    store.write(bundle, TRAINED.manifest)
    with pytest.raises(DamagedFile, match=f"searched_{name} is {np.dtype(dtype).name}"):
        store.load("v1")


def test_arrays_that_do_not_fit_the_manifest_are_refused(store: VersionStore) -> None:
    write(store, "v1")
    path = store.folder("v1") / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"items": 21}))
    with pytest.raises(DamagedFile, match="item_factors has shape"):
        store.load("v1")


def test_a_version_name_cannot_leave_the_folder(store: VersionStore) -> None:
    for name in ("../v1", "", "a/b", ".tmp"):
        with pytest.raises(ValueError, match="not a version name"):
            store.folder(name)


def test_features_of_tracks_are_stored(store: VersionStore) -> None:
    features = TrackFeatures(
        artist=np.array([7, 7, UNKNOWN_ID]),
        album=np.array([1, UNKNOWN_ID, 2]),
        recording=np.array([10, 10, 12]),
        released=np.array([20_000, NO_DATE, -3], np.int32),
        added=np.array([1_700_000_000, 0, 5]),
    )
    bundle = assemble_bundle(
        version="v1", items=IdMap.from_ids([10, 11, 12]), popularity=np.ones(3, np.float32), features=features
    )
    store.write(bundle, {})
    for name in files.FEATURES_ARRAYS:
        np.testing.assert_array_equal(getattr(store.load("v1").features, name), getattr(features, name))


def test_a_version_of_format_3_knows_no_features_of_tracks(
    store: VersionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(files, "FEATURES_ARRAYS", {})
        before.setattr(files, "FORMAT_VERSION", 3)
        write(store, "old")
    bundle = store.load("old")
    assert (bundle.features.artist == UNKNOWN_ID).all()
    np.testing.assert_array_equal(bundle.features.recording, bundle.items.ids)


def test_listeners_of_a_version_of_format_4_are_folded_in(store: VersionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = TRAINED.bundle
    stamp = trained.user_stamps[0].tolist()
    assert trained.user_row(int(trained.users.ids[0]), tuple(stamp)) == 0
    with monkeypatch.context() as before:
        before.setattr(files, "FORMAT_VERSION", 4)
        store.write(replace(trained, version="old", user_stamps=trained.user_stamps[:, :2]), TRAINED.manifest)
    old = store.load("old")
    assert old.user_stamps.tolist() == [[*row, 0] for row in trained.user_stamps[:, :2].tolist()]
    assert old.user_row(int(old.users.ids[0]), tuple(stamp)) is None


def test_the_contexts_of_a_version_are_loaded_as_they_were_written(store: VersionStore) -> None:
    codes, vectors = np.array([-5, 7], np.int64), np.ones((2, TRAINED.bundle.factors), np.float32)
    context = ContextModel(codes, vectors, {"hours": 2.0, "device": 0.5})
    store.write(replace(TRAINED.bundle, context=context), TRAINED.manifest)
    loaded = store.load("v1").context
    assert loaded is not None
    assert dict(loaded.weights) == {"hours": 2.0, "device": 0.5}
    np.testing.assert_array_equal(loaded.codes, codes)
    np.testing.assert_array_equal(loaded.vectors, vectors)


def test_contexts_of_another_space_are_damaged(store: VersionStore) -> None:
    context = ContextModel(np.array([7], np.int64), np.ones((1, TRAINED.bundle.factors + 1), np.float32), {})
    store.write(replace(TRAINED.bundle, context=context), TRAINED.manifest)
    with pytest.raises(DamagedFile, match=r"model.npz: context_vectors is float32 \(1, 3\)"):
        store.load("v1")


def test_a_version_without_contexts_has_no_arrays_of_them(store: VersionStore) -> None:
    write(store, "v1")
    with np.load(store.folder("v1") / "model.npz") as plain:
        assert not [name for name in plain if name.startswith("context")]
    assert store.load("v1").context is None
