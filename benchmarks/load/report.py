"""Reports of load runs in Markdown and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from benchmarks.load.client import LoadResult

COLUMNS = ("endpoint", "cache", "connections", "answers/s", "p50 ms", "p95 ms", "p99 ms", "errors")
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
class ReportRow:
    endpoint: str
    cache: str
    connections: int
    result: LoadResult

    def cells(self) -> list[str]:
        result = self.result
        times = [f"{result.percentile(percent):.1f}" for percent in (50, 95, 99)]
        errors = f"{result.errors / (len(result.latencies) or 1):.2%}" if result.errors else "0"
        return [self.endpoint, self.cache, str(self.connections), f"{result.rate:,.0f}", *times, errors]

    def __str__(self) -> str:
        return ", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, self.cells(), strict=True))


def write_report(folder: Path, rows: Sequence[ReportRow], about: str) -> list[Path]:
    """Write `report.md` and `report.html` into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    title = f"musicrec under load, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    pages = {"report.md": _markdown(rows, title, about), "report.html": _html(rows, title, about)}
    for name, content in pages.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in pages]


def _markdown(rows: Sequence[ReportRow], title: str, about: str) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return f"# {title}\n\n{about}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _html(rows: Sequence[ReportRow], title: str, about: str) -> str:
    return PAGE.format(
        title=escape(title),
        about=escape(about),
        head="".join(f"<th>{escape(name)}</th>" for name in COLUMNS),
        rows="\n".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells())}"
            f'<td><meter min="0" max="200" low="100" high="150" optimum="0" value="{row.result.percentile(99):.0f}">'
            "</meter></td></tr>"
            for row in rows
        ),
    )
