from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.bundle.npz import ALIGNMENT, DamagedFile, map_npz, save_npz

dtypes = st.sampled_from([np.float32, np.int64, np.uint8, np.bool_])
arrays = dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)))
names = st.from_regex(r"[a-z_]{1,20}", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, arrays, max_size=5))
def test_numpy_reads_it_and_mapping_gives_the_same_aligned(tmp_path: Path, written: dict[str, np.ndarray]) -> None:
    path = tmp_path / "a.npz"
    save_npz(path, written)
    mapped = map_npz(path)
    with np.load(path) as theirs:
        assert mapped.keys() == written.keys() == set(theirs.files)
        for name, array in written.items():
            for read in (mapped[name], theirs[name]):
                assert read.dtype == array.dtype
                np.testing.assert_array_equal(read, array)
            assert mapped[name].size == 0 or mapped[name].ctypes.data % ALIGNMENT == 0


def test_a_mapped_array_cannot_be_written(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", {"x": np.arange(3)})
    with pytest.raises(ValueError, match="read-only"):
        map_npz(tmp_path / "a.npz")["x"][0] = 1


def test_pickles_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(TypeError, match="Python objects"):
        save_npz(tmp_path / "a.npz", {"x": objects})
    np.savez(tmp_path / "b.npz", x=objects)
    with pytest.raises(DamagedFile, match="Python objects"):
        map_npz(tmp_path / "b.npz")


def test_compressed_files_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(100))
    with pytest.raises(DamagedFile, match="compressed"):
        map_npz(tmp_path / "a.npz")


def _write_arrays(path: Path) -> bytes:
    save_npz(path, {"x": np.arange(40, dtype=np.float32).reshape(8, 5), "y": np.arange(7)})
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_any_flipped_bit_is_detected_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.npz"
    content = bytearray(_write_arrays(path))
    before = {name: array.copy() for name, array in map_npz(path).items()}
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        after = map_npz(path)
    except DamagedFile:
        return
    assert after.keys() == before.keys()  # a flip in padding or in a date changes nothing
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name])


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    content = _write_arrays(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFile):
            map_npz(path)


def test_every_flipped_bit_of_headers_and_directory_is_detected_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    original = _write_arrays(path)
    before = {name: array.copy() for name, array in map_npz(path).items()}
    for offset in [*range(140), *range(len(original) - 300, len(original))]:
        for bit in range(8):
            content = bytearray(original)
            content[offset] ^= 1 << bit
            path.write_bytes(content)
            try:
                after = map_npz(path)
            except DamagedFile:
                continue
            assert after.keys() == before.keys()
            assert all(np.array_equal(after[name], before[name]) for name in before)
