"""Data check: every check, whether it passed or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pluralism.reports.sections.subject import Part, Subject
from pluralism.reports.text import counted, number, one_line

__all__ = ["data_check"]

SAMPLES = 3
CELL = 60


def data_check(subject: Subject) -> Part:
    """All checks with counts, sample rows and the line that mends what failed."""
    report = subject.data.check()
    rows = []
    for check in report:
        rows.append(
            {
                "name": check.name,
                "status": check.status,
                "found": check.found,
                "count": check.count,
                "share": check.share,
                "samples": [_sample(sample) for sample in check.samples[:SAMPLES]] if not check.passed else [],
                "fix": check.fix if not check.passed else "",
            }
        )
    tested = sum(check.applies for check in report)
    failed = len(report.errors) + len(report.warnings)
    verdict = f"{counted(tested, 'check')}: {tested - failed} passed"
    if report.errors:
        verdict += f", {counted(len(report.errors), 'error')}"
    if report.warnings:
        verdict += f", {counted(len(report.warnings), 'warning')}"
    content = {
        "n_rows": report.n_rows,
        "ok": report.ok,
        "n_tested": tested,
        "n_errors": len(report.errors),
        "n_warnings": len(report.warnings),
        "verdict": verdict + ".",
        "checks": rows,
    }
    return content, {}


def _sample(sample: Mapping[str, Any]) -> str:
    row = f"row {sample['row']:,}: " if "row" in sample else ""
    cells = [f"{key} {_cell(value)}" for key, value in sample.items() if key != "row"]
    return row + ", ".join(cells)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return one_line(str(value), CELL)
