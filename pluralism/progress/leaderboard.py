"""Comparisons of agents as one table: Markdown, or a page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.errors import DataError
from pluralism.printable import printable
from pluralism.progress.comparison import AgentComparison, Estimate

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["leaderboard_markdown", "leaderboard_page", "leaderboard_pictures", "read_comparisons"]

LEFT, RIGHT, ROW = 180.0, 620.0, 24.0
SHOWN = ("ahead", "skill", "direction", "worst_group", "influence")
WORDS = {"ahead": "similarity", "worst_group": "worst group"}


def read_comparisons(folder: Path) -> list[AgentComparison]:
    """Read every comparison (`*.json`) in a folder, in the order of the names of the files.

    Raises
    ------
    DataError
        If the folder holds none, or one is damaged.
    """
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise DataError(
            "There are no comparisons here.", where=str(folder), fix="Write some with pluralism progress run --out."
        )
    return [_read(path) for path in paths]


def leaderboard_markdown(
    comparisons: Sequence[AgentComparison], *, title: str = "Values over time", pictures: Sequence[str] = ()
) -> str:
    """A section with a table for each comparison.

    Parameters
    ----------
    comparisons : sequence of AgentComparison
    title : str
    pictures : sequence of str, optional
        Where the picture of each comparison lies, as `leaderboard_pictures` draws it.
    """
    lines = [f"# {title}", ""]
    for k, each in enumerate(comparisons):
        header, rows, notes = _table(each)
        lines += [f"## {_title(each)}", "", _about(each), ""]
        if pictures:
            lines += [f"![{_label(each)}](<{pictures[k]}>)", ""]
        body = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body]
        lines += ["", *(f"{note}  " for note in notes), ""]
    return printable("\n".join(lines).rstrip() + "\n")


def leaderboard_pictures(comparisons: Sequence[AgentComparison]) -> list[str]:
    """The costs of each comparison with their intervals, as an SVG file of its own."""
    from markupsafe import Markup

    template = _environment().get_template("picture.svg.j2")
    return [template.render(board=_board(each), style=Markup(_style("picture.css"))) for each in comparisons]


def leaderboard_page(comparisons: Sequence[AgentComparison], *, title: str = "Values over time") -> str:
    """A page with a picture of the costs and a table for each comparison; it makes no request and runs no script."""
    from markupsafe import Markup

    style = _style("leaderboard.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    template = _environment().get_template("leaderboard.html.j2")
    return template.render(
        title=title, style=Markup(style), policy=policy, boards=[_board(each) for each in comparisons]
    )


def _read(path: Path) -> AgentComparison:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"The file is not JSON: {error}.", where=str(path), fix="Run the agents once more.") from error
    if not isinstance(document, dict):
        raise DataError("The file holds no comparison.", where=str(path), fix="Take it out of the folder.")
    return AgentComparison.from_dict(document, where=str(path))


def _style(name: str) -> str:
    return files("pluralism.progress").joinpath("templates", name).read_text(encoding="utf-8")


def _label(each: AgentComparison) -> str:
    return f"Cost of each agent with its interval, on a logarithmic scale: {_title(each)}"


def _title(each: AgentComparison) -> str:
    return f"{each.env}, {each.process}"


def _about(each: AgentComparison) -> str:
    given = ", ".join(f"{name}={value}" for name, value in each.settings.items())
    oracle = f"the oracle is {each.oracle}" if each.oracle else "no oracle is known"
    return (
        f"{each.n_seeds} histories, metric {each.metric}{f', {given}' if given else ''}; {oracle}; "
        f"{100 * each.level:g} % intervals."
    )


def _table(each: AgentComparison) -> tuple[list[str], list[list[str]], list[str]]:
    shown = [name for name in SHOWN if any(name in row.measures for row in each.results)]
    header = ["agent", "cost", "score", "over persistence", *(WORDS.get(name, name) for name in shown), "answers"]
    rows: list[list[str]] = []
    notes: dict[str, list[str]] = {}
    for row in each.results:
        parts = [row.measures["cost"], row.score, row.over_persistence]
        parts += [row.measures.get(name, Estimate(math.nan, math.nan, math.nan)) for name in shown]
        rows.append([row.agent, *(_cell(part) for part in parts), f"{row.n_answers:,}"])
        for part in (row.score, row.over_persistence, *row.measures.values()):
            if part.reason:
                notes.setdefault(part.reason, []).append(row.agent)
    knowing: dict[str, list[str]] = {}
    for row in each.results:
        if row.oracle and row.oracle != each.oracle:
            knowing.setdefault(row.oracle, []).append(row.agent)
    said = [
        f"Know or ask more than they are told, and are scored beside {oracle}: {', '.join(who)}."
        for oracle, who in knowing.items()
    ]
    said += [f"{reason[:1].upper()}{reason[1:]}: {', '.join(dict.fromkeys(who))}." for reason, who in notes.items()]
    return header, rows, said


def _cell(part: Estimate) -> str:
    if math.isnan(part.value):
        return "–"
    digits = 3 if abs(part.value) >= 0.01 else 5
    text = f"{part.value:.{digits}f}"
    return text if math.isnan(part.low) else f"{text} ({part.low:.{digits}f} to {part.high:.{digits}f})"


def _board(each: AgentComparison) -> dict[str, Any]:
    costs = [row.measures["cost"] for row in each.results]
    logs = np.log10([max(part.value, 1e-12) for part in costs])
    bounds = [np.log10(max(edge, 1e-12)) for part in costs for edge in (part.low, part.high) if not math.isnan(edge)]
    low, high = min([*logs, *bounds]), max([*logs, *bounds])
    pad = max(0.05 * (high - low), 0.02)
    low, high = low - pad, high + pad

    def place(value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (math.log10(max(value, 1e-12)) - low) / (high - low), 1)

    rows = [
        {
            "agent": row.agent,
            "y": round(16 + ROW * k, 1),
            "x": place(part.value),
            "low": None if math.isnan(part.low) else place(part.low),
            "high": None if math.isnan(part.high) else place(part.high),
        }
        for k, (row, part) in enumerate(zip(each.results, costs, strict=True))
    ]
    ticks = [10 ** (low + (high - low) * share) for share in (0.05, 0.35, 0.65, 0.95)]
    header, table, notes = _table(each)
    return {
        "title": _title(each),
        "about": _about(each),
        "label": _label(each),
        "height": 16 + ROW * len(rows) + 20,
        "rows": rows,
        "ticks": [{"x": place(tick), "text": f"{tick:.2g}"} for tick in ticks],
        "header": header,
        "table": table,
        "notes": notes,
    }


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pluralism.progress"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
