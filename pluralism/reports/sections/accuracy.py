"""How well the model predicts what it was not fitted to, beside one reward for everybody."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pluralism.evaluation import Evaluation
from pluralism.reports.comparison_display import ComparisonDisplay
from pluralism.reports.held_out import Difference, HeldOut
from pluralism.reports.palette import FOCUS, POOLED
from pluralism.reports.reliability_display import ReliabilityDisplay
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["GROUPS", "ONE", "accuracy", "verdict"]

ONE, GROUPS, PERSONAL = "one reward for everybody", "a reward for each group", "a reward for each person"
_METRICS = (
    ("accuracy", "Choices predicted", "higher"),
    ("nll", "Negative log-likelihood, nats a judgement", "lower"),
    ("brier", "Brier score", "lower"),
    ("ece", "Expected calibration error", "lower"),
    ("worst_group_accuracy", "Choices predicted, worst group", "higher"),
    ("p10_user_accuracy", "Choices predicted, tenth-percentile person", "higher"),
)


def accuracy(subject: Subject, held: HeldOut | str) -> Part:
    """All scores, overall and by group, with differences; reliability diagrams. A string says why there are none."""
    if isinstance(held, str):
        return {"missing": held}, {}
    names = {"model": PERSONAL if subject.personal else GROUPS if subject.n_groups > 1 else ONE, "pooled": ONE}
    short = "each person" if subject.personal else "groups" if subject.n_groups > 1 else "one reward"
    content: dict[str, Any] = {
        "refitted": held.refitted,
        "rule": held.rule,
        "converged": held.converged,
        "n_used": held.n_used,
        "sampled": held.refitted and held.n_used < len(subject.data),
        "model": held.model.to_dict(),
        "pooled": None if held.pooled is None else held.pooled.to_dict(),
        "difference": held.difference,
        "group_difference": dict(held.group_difference),
        "verdict": verdict(held),
        "names": names,
        "short_names": {"model": short, "pooled": "one reward"},
        "metrics": [_metric(held, *metric) for metric in _METRICS],
        "groups": _group_rows(held.model, held.pooled, held.group_difference),
        "known": None
        if held.known_model is None
        else {
            "groups": _group_rows(held.known_model, held.known_pooled, {}),
            "worst_model": held.known_model.worst_group,
            "worst_pooled": None if held.known_pooled is None else held.known_pooled.worst_group,
        },
        "calibration": [
            {"name": name, "state": _calibration(e), "ece": e.ece, "low": e.ece_null_low, "high": e.ece_null_high}
            for name, e in ((names["model"], held.model), (names["pooled"], held.pooled))
            if e is not None and e.reliability is not None
        ],
        "missing_pooled": "the model has one reward for everybody itself"
        if subject.n_groups == 1 and not subject.personal
        else "no pooled model was given, and the model brings none along"
        if held.pooled is None
        else None,
    }
    displays: dict[str, Any] = {}
    if held.model.reliability is not None:
        displays["reliability_model"] = ReliabilityDisplay.from_evaluation(
            held.model, name=names["model"].capitalize(), colour=FOCUS
        )
    if held.pooled is not None:
        if held.pooled.reliability is not None:
            displays["reliability_pooled"] = ReliabilityDisplay.from_evaluation(
                held.pooled, name=ONE.capitalize(), colour=POOLED
            )
        displays["comparison"] = ComparisonDisplay.from_evaluations({ONE: held.pooled, names["model"]: held.model})
    return content, displays


def verdict(held: HeldOut) -> Literal["better", "same", "worse", "unknown", "alone"]:
    """Whether the model's likelihood beats the pooled one's by more than chance: its interval excludes zero.

    "unknown" without an interval, "alone" without a pooled model.
    """
    if held.difference is None:
        return "alone"
    _, low, high = held.difference["nll"]
    if np.isnan(low):
        return "unknown"
    if low <= 0 <= high:
        return "same"
    return "better" if high < 0 else "worse"


def _metric(held: HeldOut, name: str, words: str, better: str) -> dict[str, Any]:
    def cell(e: Evaluation | None) -> dict[str, Any] | None:
        if e is None:
            return None
        low, high = e.intervals.get(name, (np.nan, np.nan))
        return {"value": _finite(getattr(e, name)), "low": _finite(low), "high": _finite(high), "note": _note(e, name)}

    bounds = None if held.difference is None else held.difference.get(name)
    return {
        "name": name,
        "words": words,
        "better": better,
        "percent": "accuracy" in name,
        "model": cell(held.model),
        "pooled": cell(held.pooled),
        "difference": None if bounds is None else [_finite(value) for value in bounds],
    }


def _note(e: Evaluation, name: str) -> str:
    if name == "ece":
        return f"if calibrated: {e.ece_null_low:.3f} to {e.ece_null_high:.3f}" if np.isfinite(e.ece_null_low) else ""
    if name == "worst_group_accuracy":
        return e.worst_group or ""
    if name == "p10_user_accuracy":
        return f"of {e.p10_users:,} with {e.p10_min_rows} or more scored"
    return ""


def _group_rows(model: Evaluation, pooled: Evaluation | None, differences: Any) -> list[dict[str, Any]]:
    other = {} if pooled is None else {score.name: score for score in pooled.groups}
    rows = []
    for score in model.groups:
        difference: Difference = differences.get(score.name, {})
        beside = other.get(score.name)
        rows.append(
            {
                "name": score.name,
                "people": score.users,
                "judgements": score.n,
                "model": score.to_dict(),
                "pooled": None if beside is None else beside.to_dict(),
                "difference": {metric: [_finite(v) for v in values] for metric, values in difference.items()},
            }
        )
    return rows


def _calibration(e: Evaluation) -> str:
    if e.ece > e.ece_null_high:
        sure = "too sure of itself" if e.signed_confidence_gap < 0 else "not sure enough of itself"
        return f"more than chance brings: on the whole {sure}"
    return "no more than a perfectly calibrated model would show on so many judgements"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
