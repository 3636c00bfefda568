"""`pluralism check`: what is wrong with a file of judgements, and which line mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluralism.cli.options import (
    ColumnOption,
    DataArgument,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    KindOption,
    UserOption,
    pairs_of,
)
from pluralism.cli.output import clean_text, output
from pluralism.cli.wording import as_options

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import DataReport

__all__ = ["check"]

_MARKS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "error": ("ERROR", "red"),
    "not tested": ("–", "dim"),
}


def check(
    data: DataArgument,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    kind: KindOption = None,
    column: ColumnOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check DATA: every check is stated, whether it passed or not; errors give exit code 2."""
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading

    reading = Reading(kind=kind, columns=pairs_of(column, "--column"), user=user, items=items, features=features)
    with output(as_json) as result:
        with stages() as stage:
            stage(f"checking {data.name}")
            report = reading.check(data)
        result.show(report.to_dict(), lambda console: _render(console, report))
        report.raise_for_errors()


def _render(console: Console, report: DataReport) -> None:
    from rich.table import Table
    from rich.text import Text

    counts = [f"{len(report.errors)} errors", f"{len(report.warnings)} warnings"]
    console.print(f"{report.n_rows:,} {report.subject} in {report.source}: {', '.join(counts)}\n", soft_wrap=True)
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for one in report:
        mark, style = _MARKS[one.status]
        lines = [clean_text(one.found)]
        if one.status in ("warning", "error"):
            lines += [f"· {_sample(sample)}" for sample in one.samples[:3]]
            lines += [f"fix: {as_options(clean_text(one.fix))}"] if one.fix else []
        made.add_row(Text(mark, style), Text(one.name), Text("\n".join(lines), "dim" if style == "dim" else ""))
    console.print(made)


def _sample(sample: Any) -> str:
    cells = [f"{key} {clean_text(str(value), 60)}" for key, value in sample.items() if key != "row"]
    return (f"row {sample['row']:,}: " if "row" in sample else "") + ", ".join(cells)
