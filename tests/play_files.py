"""Small data sets as files, for installations that import them."""

from pathlib import Path


def write_checkerboard_csv(folder: Path, size: int = 20, bands: int = 2) -> Path:
    """Write plays where listener u2 has played all even tracks except t2, so that t2 must be recommended first.

    Args:
        bands: the number of artists. With two, one for the even tracks and one for the odd ones, caps on tracks of one
            artist decide what slates contain beside them.
    """
    path = folder / "plays.csv"
    path.write_text(
        "user,track,title,artist,played_at\n"
        + "".join(
            f"u{u},t{t},Song {t},Band {t % bands},{1_700_000_000 + 60 * ((7 * t + 3 * u) % size)}\n"
            for u in range(size)
            for t in range(size)
            if u % 2 == t % 2 and u != t
        )
    )
    return path
