"""How the number of groups, and the ridge, were chosen."""

from __future__ import annotations

from typing import Any

from pluralism.reports.sections.subject import Part, Subject
from pluralism.reports.selection_display import SelectionDisplay

__all__ = ["selection"]


def selection(subject: Subject) -> Part:
    """The table of the numbers of groups tried, the path of the ridge, and how many restarts agreed."""
    fitted = subject.fitted
    rows = getattr(fitted, "selection_", None)
    ridge = getattr(fitted, "ridge_", None)
    path = getattr(fitted, "ridge_path_", None)
    content: dict[str, Any] = {
        "n_groups": subject.n_groups,
        "rows": [dict(row) for row in rows] if rows else None,
        "no_rows": None if rows else "the number of groups was given when the model was fitted",
        "restart_agreement": getattr(fitted, "restart_agreement_", None),
        "ridge": ridge,
        "ridge_path": [{"ridge": r, "nll": v, "chosen": _same(r, ridge)} for r, v in path] if path else None,
        "blocks": getattr(fitted, "blocks_", None),
        "item_precision": getattr(fitted, "item_precision_", None),
    }
    if subject.n_groups == 1 and not rows:
        content["no_rows"] = "the model has one reward for everybody by its kind or its settings"
    return content, {"selection": SelectionDisplay(rows)} if rows and len(rows) > 1 else {}


def _same(value: float, chosen: float | None) -> bool:
    return chosen is not None and abs(value - chosen) <= 1e-9 * abs(chosen)
