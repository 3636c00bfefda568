"""The folder of an experiment beside its responses: the report, all numbers as JSON, and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.files import atomic_write

if TYPE_CHECKING:
    from pluralism.policy.lm.experiment import ConditioningExperiment

__all__ = ["write_experiment"]

NUMBERS, PAGE = "condition.json", "report.html"


def write_experiment(
    out: Path,
    found: ConditioningExperiment,
    document: dict[str, Any],
    *,
    settings: dict[str, Any],
    examples: int,
    command: str,
) -> list[str]:
    """Write all files, the document of the command among them; returns their names."""
    from pluralism.data.files_io import write_table
    from pluralism.reports.conditioning import build_conditioning_report

    tables = {
        "conditions.csv": found.to_frame(),
        "win_rates.csv": found.scores.to_frame(),
        "responses.parquet": found.responses_frame(),
    }
    for name, table in tables.items():
        write_table(table, out / name)
    numbers = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    atomic_write(out / NUMBERS, numbers + "\n")
    page = build_conditioning_report(found, examples=examples, settings=settings, command=command)
    page.write(out / PAGE)
    return [PAGE, NUMBERS, *tables]
