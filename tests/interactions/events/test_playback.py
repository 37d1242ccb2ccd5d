import pytest

from interactions.events.playback import Playback, derive_playback

pytestmark = pytest.mark.one_stack


@pytest.mark.parametrize(
    ("ms_played", "duration_ms", "end_reason", "expected"),
    [
        (None, 200_000, "skipped", Playback()),
        (0, 200_000, "", Playback()),
        (0, 200_000, "skipped", Playback(is_skip=True)),
        (29_999, 200_000, "skipped", Playback(14, is_skip=True)),
        (29_999, 200_000, "replaced", Playback(14, is_skip=True)),
        (29_999, 200_000, "stopped", Playback(14, is_skip=True)),
        (30_000, 200_000, "skipped", Playback(15)),
        (20_000, 200_000, "interrupted", Playback(10)),  # the connection was lost: not the listener's doing
        (20_000, 200_000, "", Playback(10)),
        (20_000, 21_000, "skipped", Playback(95, is_completed=True)),  # a short track, heard to its end
        (99_999, 200_000, "", Playback(49)),
        (100_000, 200_000, "", Playback(50, is_listen=True)),
        (240_000, 3_600_000, "stopped", Playback(6, is_listen=True)),
        (239_999, 3_600_000, "stopped", Playback(6)),
        (190_000, 200_000, "finished", Playback(95, is_completed=True, is_listen=True)),
        (500_000, 200_000, "finished", Playback(100, is_completed=True, is_listen=True)),
        (30_000, 30_000, "finished", Playback(100, is_completed=True)),  # too short to scrobble
        (20_000, None, "skipped", Playback(is_skip=True)),
        (240_000, None, "", Playback(is_listen=True)),
        (239_999, None, "", Playback()),
    ],
)
def test_derive_playback(ms_played: int | None, duration_ms: int | None, end_reason: str, expected: Playback) -> None:
    assert derive_playback(ms_played, duration_ms, end_reason) == expected
