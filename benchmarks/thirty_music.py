"""Write the three five-day windows of 30Music as TRAIN, VALID and TEST for `benchmarks.accuracy`.

    python -m benchmarks.thirty_music FOLDER OUT
    python -m benchmarks.accuracy OUT/{train,valid,test}.tsv --refit

FOLDER holds the events as TSV files with the columns window, user, session, track, ts, artist. Every play is a line
with its own time.
"""

import csv
import sys
from pathlib import Path

NAMES = {"0": "train", "1": "valid", "2": "test"}


def main() -> None:
    folder, out = map(Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {window: ["user\titem\ttime\n"] for window in NAMES}
    for path in sorted(folder.glob("*.tsv")):
        with open(path, newline="") as events:
            for event in csv.DictReader(events, delimiter="\t"):
                lines[event["window"]].append(f"{event['user']}\t{event['track']}\t{event['ts']}\n")
    for window, name in NAMES.items():
        (out / f"{name}.tsv").write_text("".join(lines[window]))


if __name__ == "__main__":
    main()
