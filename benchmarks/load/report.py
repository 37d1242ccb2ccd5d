"""Rows of measurements as a page of Markdown and one of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from benchmarks.load.client import Measured

HEAD = ("endpoint", "cache", "connections", "answers/s", "p50 ms", "p95 ms", "p99 ms", "errors")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: right; font-variant-numeric: tabular-nums }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left }}
meter {{ width: 8rem }}
</style>
<h1>{title}</h1><p>{about}</p>
<table><thead><tr>{head}<th>p99, to 200 ms</th></tr></thead><tbody>
{rows}
</tbody></table></html>
"""


@dataclass(frozen=True)
class Row:
    endpoint: str
    cache: str
    connections: int
    measured: Measured

    def cells(self) -> list[str]:
        m = self.measured
        times = [f"{m.percentile(percent):.1f}" for percent in (50, 95, 99)]
        return [self.endpoint, self.cache, str(self.connections), f"{m.rate:,.0f}", *times, _share(m)]

    def __str__(self) -> str:
        return ", ".join(f"{name} {cell}" for name, cell in zip(HEAD, self.cells(), strict=True))


def write_report(folder: Path, rows: Sequence[Row], about: str) -> list[Path]:
    """`report.md` and `report.html` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    title = f"musicrec under load, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    pages = {"report.md": _markdown(rows, title, about), "report.html": _html(rows, title, about)}
    for name, content in pages.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in pages]


def _markdown(rows: Sequence[Row], title: str, about: str) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return f"# {title}\n\n{about}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _html(rows: Sequence[Row], title: str, about: str) -> str:
    return PAGE.format(
        title=escape(title),
        about=escape(about),
        head="".join(f"<th>{escape(name)}</th>" for name in HEAD),
        rows="\n".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells())}"
            f'<td><meter min="0" max="200" low="100" high="150" optimum="0" value="{row.measured.percentile(99):.0f}">'
            "</meter></td></tr>"
            for row in rows
        ),
    )


def _share(measured: Measured) -> str:
    """Of errors among all that was asked."""
    asked = len(measured.latencies) or 1
    return f"{measured.errors / asked:.2%}" if measured.errors else "0"
