"""The folder of an audit: the report, all numbers as JSON, and tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pluralism.cli.audit_judge import RECORD
from pluralism.errors import UsageError
from pluralism.files import atomic_write

if TYPE_CHECKING:
    from pluralism.cli.audit_tables import Findings
    from pluralism.data import Comparisons

__all__ = ["check_folder", "write_audit"]

NUMBERS, PAGE = "audit.json", "report.html"
OPTIONAL = ("reasons.csv", "weights.csv", "graph.csv")


def check_folder(out: Path | None) -> None:
    """Refuse a folder that holds something else than an audit, or answers of one that was stopped.

    Raises
    ------
    UsageError
        If the path is a file, or a folder of something else.
    """
    if out is None or not out.exists():
        return
    fix = "Choose another --out, or remove it yourself."
    if not out.is_dir():
        raise UsageError("This is a file, and an audit is a folder.", where=f"--out {out}", fix=fix)
    if any(out.iterdir()) and not any((out / name).is_file() for name in (NUMBERS, RECORD)):
        raise UsageError("This folder holds no audit, so nothing is written into it.", where=f"--out {out}", fix=fix)


def write_audit(out: Path, findings: Findings, comparisons: Comparisons, examples: int) -> list[str]:
    """Write all files, and take away tables of an earlier audit that this one does not have; returns their names."""
    import pyarrow as pa

    from pluralism.data.files_io import write_table
    from pluralism.reports import build_discretion_report

    audit, reasons, elicited = findings.audit, findings.reasons, findings.elicited
    out.mkdir(parents=True, exist_ok=True)
    report = build_discretion_report(
        audit,
        comparisons,
        principles=findings.principles,
        between=findings.between,
        reasons=reasons,
        elicited=elicited,
        examples=examples,
        command=" ".join(["pluralism", *sys.argv[1:]]),
    )
    tables = {
        "annotators": audit.to_frame(),
        "categories": audit.categories.to_frame(),
        "priority": pa.concat_tables([priority.to_frame() for priority in audit.priority]),
        "supremacy": pa.concat_tables([supremacy.to_frame() for supremacy in audit.supremacy]),
        "discrepancy": audit.discrepancy.to_frame(),
        "principles": audit.preferences.to_frame(),
    }
    if reasons is not None:
        tables |= {"reasons": reasons.to_frame(), "weights": reasons.weights.levels_frame()}
    if elicited is not None:
        tables["graph"] = elicited.to_frame()
    names = []
    for name, table in tables.items():
        # what the principles say of each comparison is long, and is read again by programs
        path = out / f"{name}.{'parquet' if name == 'principles' else 'csv'}"
        write_table(table, path)
        names.append(path.name)
    for name in OPTIONAL:
        if name not in names:
            (out / name).unlink(missing_ok=True)
    document = findings.to_dict() | {"principle_set": findings.principles.model_dump(mode="json")}
    atomic_write(out / NUMBERS, json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    report.write(out / PAGE)
    return [PAGE, NUMBERS, *names]
