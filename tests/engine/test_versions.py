import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.storage.bundles import UnknownFormat
from engine.storage.npz import DamagedFile
from engine.storage.versions import Pointer, VersionStore
from tests.engine.worlds import same_arrays, trained_checkerboard

TRAINED = trained_checkerboard()


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "models")


def write(store: VersionStore, *versions: str) -> None:
    for version in versions:
        store.write(replace(TRAINED.bundle, version=version), TRAINED.manifest)


def test_what_is_written_is_what_is_loaded(store: VersionStore) -> None:
    write(store, "v1")
    loaded = store.load("v1")
    assert same_arrays(loaded, TRAINED.bundle)
    assert (loaded.version, loaded.algorithm, loaded.confidence) == ("v1", "als", TRAINED.bundle.confidence)
    assert store.manifest("v1")["report"] == TRAINED.manifest["report"]
    with np.load(store.folder("v1") / "model.npz") as plain:
        np.testing.assert_array_equal(plain["item_factors"], TRAINED.bundle.item_factors)


def test_the_pointer_remembers_the_version_before(store: VersionStore) -> None:
    write(store, "v1", "v2")
    assert store.pointer() is None
    assert store.publish("v1") == Pointer("v1", None)
    stamp = store.stamp()
    assert store.publish("v2") == store.pointer() == Pointer("v2", "v1")
    assert store.stamp() != stamp
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


def test_pruning_keeps_the_newest_and_never_takes_the_one_in_service_or_the_one_before(store: VersionStore) -> None:
    write(store, "v1", "v2", "v3", "v4", "v5")
    store.publish("v1")
    store.publish("v2")
    assert store.prune(keep=2) == ["v3"]
    assert store.versions() == ["v1", "v2", "v4", "v5"]


def test_pruning_takes_folders_that_no_run_recorded(store: VersionStore) -> None:
    write(store, "v1", "v2", "v3")
    store.publish("v1")
    assert store.prune(keep=5, known=["v1", "v2"]) == ["v3"]


def test_sweeping_takes_only_what_is_unfinished(store: VersionStore) -> None:
    write(store, "v1")
    store.publish("v1")
    (store.root / "v2.tmp").mkdir()
    (store.root / "v2.tmp" / "model.npz").write_bytes(b"half")
    (store.root / "current.json.tmp").write_text("{")
    store.sweep()
    assert sorted(p.name for p in store.root.iterdir()) == ["current.json", "v1"]


def test_an_unfinished_folder_is_no_version(store: VersionStore) -> None:
    (store.root / "v9.tmp").mkdir(parents=True)
    assert store.versions() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 3}', '{"version": "../x", "previous": null}'])
def test_a_pointer_that_cannot_be_read_says_the_remedy(store: VersionStore, content: str) -> None:
    store.root.mkdir()
    (store.root / "current.json").write_text(content)
    with pytest.raises(DamagedFile, match="publish a version again"):
        store.pointer()


def test_a_format_of_the_future_says_the_remedy(store: VersionStore) -> None:
    write(store, "v1")
    path = store.folder("v1") / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(UnknownFormat, match="format version 99, this release reads 1; train a new version"):
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
