"""`make docs`: run the commands of the tutorial and the README, and rewrite the output that the pages show.

The commands run in a temporary installation that `make demo` starts, with its own folder and ports. Each fenced `sh`
block of the tutorial is run, in order and in one shell; of the README only those whose output is shown. An output block
is a fenced block between these two lines:

    <!-- output -->
    <!-- end of output -->

Values that differ from run to run (ids, versions, times, secrets) are replaced by fixed example values.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicrec.processes import ROOT

TUTORIAL = ROOT / "docs" / "tutorial" / "first-recommendations.md"
PAGES = (ROOT / "README.md", TUTORIAL)  # in this order: the tutorial changes what is recommended
START_COMMAND = "make demo"
STARTED = "Ctrl-C stops everything"  # the last line that the demo prints
PORT = 8000  # as the pages show it
MAX_START_SECONDS = 600

BLOCK = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n"
    r"((?:(?!```)[^\n]*\n)*?<!-- output -->\n"
    r"```(?P<language>\w+)\n(?P<output>.*?)(?=^```\n<!-- end of output -->))?",
    re.MULTILINE | re.DOTALL,
)
VERSION = re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{6}\b")
EXAMPLE_VERSIONS = ("20261123T025537Z-585ee9", "20261123T025732Z-2e8aa8", "20261123T030000Z-716349")
STAGE_SECONDS = {"read": 1.2, "train": 5.7, "publish": 0.6}
RESULT_LINE = re.compile(r"^\d+ \d+ (?P<score>\d+(?:\.\d+)?) (?:.+) - (?P<artist>.+)$")
NUMBER = re.compile(r"\b\d+\.\d{3,}\b")


class Shell:
    """A bash process that keeps its variables and functions from one command to the next."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._output = folder / "output"
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a command and return what it prints on standard output."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{{\n{command}\n}} > {self._output} 2> /dev/null < /dev/null\necho done\n")
        self._bash.stdin.flush()
        if self._bash.stdout.readline() != "done\n":
            raise RuntimeError(f"the shell ended while it ran: {command}")
        return self._output.read_text()

    def close(self) -> None:
        self._bash.communicate(timeout=10)


def generate_pages() -> dict[Path, str]:
    """Run the commands of all pages, and return the text that each page should have."""
    with tempfile.TemporaryDirectory(prefix="musicrec-docs-") as name:
        folder = Path(name)
        # The pages call `.venv/bin/python manage.py`, and read files of `var`.
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "manage.py").symlink_to(ROOT / "manage.py")
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        environment = inherited | {
            "MUSICREC_VAR_DIR": str(folder / "var"),
            "MUSICREC_TRAINING_THREADS": "1",  # more threads may change the last digits of a score
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        with _run_demo(folder, environment) as (port, printed):
            shell = Shell(folder, environment)
            shell.run("KEY=$(cat var/demo-key)")
            versions: list[str] = []

            def generate(page: Path) -> str:
                def run_block(match: re.Match[str]) -> str:
                    command, old_output = match["command"], match["output"]
                    if command.strip() == START_COMMAND:
                        output = printed
                    elif old_output is None and page != TUTORIAL:
                        return match[0]
                    else:
                        output = shell.run(command.replace(f":{PORT}", f":{port}"))
                    if old_output is None:
                        return match[0]
                    output = _replace_varying_values(output.replace(f":{port}", f":{PORT}"), versions)
                    return match[0].removesuffix(old_output) + output

                return BLOCK.sub(run_block, page.read_text())

            pages = {page: generate(page) for page in PAGES}
            shell.close()
            return pages


@contextmanager
def _run_demo(folder: Path, environment: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Run the demo in a folder; yield its port, and what it printed about how to use it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = subprocess.Popen(
        [sys.executable, "-m", "musicrec.demo", "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    signal.alarm(MAX_START_SECONDS)
    try:
        assert demo.stdout
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if line.startswith(STARTED):
                break
        else:
            raise RuntimeError("the demo ended: " + "".join(lines))
        signal.alarm(0)
        printed = "".join(lines)
        yield port, printed[printed.index("musicrec is ready") :]
    finally:
        signal.alarm(0)
        demo.terminate()
        demo.wait(timeout=30)


def _replace_varying_values(output: str, versions: list[str]) -> str:
    """Replace ids, versions, times, durations, memory sizes and secrets by example values.

    Args:
        versions: the names of versions that earlier outputs contained; new ones are appended.
    """
    for version in VERSION.findall(output):
        if version not in versions:
            versions.append(version)
        output = output.replace(version, EXAMPLE_VERSIONS[versions.index(version)])
    for pattern, example in (
        (r'("recommendation_id": ?)"[^"]+"', r'\1"92ac9a28-34bf-406c-b3f4-85cf8e396537"'),
        (r"(/recommendations/)[0-9a-f-]{36}", r"\g<1>92ac9a28-34bf-406c-b3f4-85cf8e396537"),
        (r'("generated_at": ?)"[^"]+"', r'\1"2026-11-23T02:57:22.165661Z"'),
        (r'("request_id": ?)"[^"]+"', r'\1"44b1c0f285ed416cbb328ce5c1d442bf"'),
        (r"(peak memory) [\d,]+ MB", r"\1 280 MB"),
        (r"(sign in as \w+ /) \S+", r"\1 …"),
        (r"(service key +)\S+", r"\1…"),
        (r"(Api-Key )[^\s$\"]+", r"\1…"),
    ):
        output = re.sub(pattern, example, output)
    return re.sub(
        r"\b(reconcile|read|train|write|judge|publish|prune) \d+\.\d s",
        lambda match: f"{match[1]} {STAGE_SECONDS.get(match[1], 0.0)} s",
        output,
    )


def comparable(page: str) -> list[str]:
    """Return the lines of a page without what differs between processors: last digits, the order of equal scores."""
    lines: list[str] = []
    tied: list[str] = []
    for line in page.splitlines():
        if match := RESULT_LINE.match(line):
            tied.append(f"{float(match['score']):.2f} {match['artist']}")
            continue
        lines += [*sorted(tied), NUMBER.sub(lambda number: f"{float(number[0]):.2f}", line)]
        tied = []
    return lines + sorted(tied)


def main() -> None:
    argparse.ArgumentParser(prog="make docs", description=__doc__).parse_args()
    for page, text in generate_pages().items():
        is_changed = text != page.read_text()
        page.write_text(text)
        print(f"{page.relative_to(ROOT)}: {'rewritten' if is_changed else 'unchanged'}")


if __name__ == "__main__":
    main()
