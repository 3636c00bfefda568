"""What an evaluation found, as an object that people and programs can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration import ReliabilityCurve
from pluralism.evaluation.text import number, span, text_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Calibrated", "Evaluation", "GroupScore", "json_value"]


@dataclass(frozen=True)
class GroupScore:
    """Scores of the rows of one group; NaN where there is nothing to score.

    Attributes
    ----------
    name : str
        "(unknown)" holds the rows of users whose group nobody knows; it is never the worst group.
    n, users : int
        Rows and users.
    accuracy, nll, brier : float
        As in `Evaluation`.
    ece, ece_null_low, ece_null_high : float
        Calibration error and the 90 % band of a calibrated model at this n.
    intervals : mapping of str to (low, high)
        For `accuracy` and `nll`, by bootstrap over users.
    """

    name: str
    n: int
    users: int
    accuracy: float
    nll: float
    brier: float
    ece: float
    ece_null_low: float
    ece_null_high: float
    intervals: Mapping[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; None for NaN."""
        return {field.name: json_value(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True)
class Calibrated:
    """Scores after temperature scaling, with the temperature fitted on rows that are not scored.

    Attributes
    ----------
    temperature, standard_error : float
        Above 1: the model was too sure.
    n_rows : int
        Rows the temperature was fitted on.
    nll, nll_decided, brier, ece, ece_null_low, ece_null_high : float
        Scores of the scaled predictions; accuracy does not change.
    """

    temperature: float
    standard_error: float
    n_rows: int
    nll: float
    nll_decided: float
    brier: float
    ece: float
    ece_null_low: float
    ece_null_high: float

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; None for NaN."""
        return {field.name: json_value(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Scores of a model on comparisons; NaN where there is nothing to score.

    Attributes
    ----------
    n, n_decided, n_ties : int
        Scored rows (of positive weight); those that are no tie; ties.
    users, n_users_seen, n_users_supported, n_users_prior : int
        Users with rows: in all, known from training, placed by support answers, and known to nobody, whose
        predictions rest on the population prior.
    accuracy : float
        Share of decided rows predicted right; an even prediction counts half.
    nll, brier : float
        Negative log-likelihood in nats and Brier score a row; a tie counts as half a win for either side.
    nll_decided, brier_decided : float
        The same without ties.
    ece, ece_debiased : float
        Expected calibration error over `n_bins` equal right-closed bins of the confidence, in [0.5, 1], on the
        decided rows; and without most of the part that chance adds.
    ece_null_low, ece_null_high : float
        5 % and 95 % quantiles of the ECE of a perfectly calibrated model with these predictions.
    signed_confidence_gap : float
        Negative: too sure on the whole.
    worst_group, worst_group_accuracy : str or None, float
        The group of the lowest accuracy.
    group_source : str
        Where the groups come from.
    groups : tuple of GroupScore
    p10_user_accuracy : float
        Accuracy of the tenth-percentile user among `p10_users` users with at least `p10_min_rows` decided rows.
    intervals : mapping of str to (low, high)
        By bootstrap over users, at `level`, of accuracy, nll, nll_decided, brier, brier_decided, ece,
        signed_confidence_gap, worst_group_accuracy (of the group named) and p10_user_accuracy. Percentile intervals;
        that of the ECE, which resampling inflates, is the reversed one, cut at 0. NaN with fewer than two users.
    reliability : ReliabilityCurve or None
        None without decided rows.
    calibrated : Calibrated or None
        After temperature scaling, if calibration data were given.
    """

    n: int
    n_decided: int
    n_ties: int
    users: int
    n_users_seen: int
    n_users_supported: int
    n_users_prior: int
    accuracy: float
    nll: float
    nll_decided: float
    brier: float
    brier_decided: float
    ece: float
    ece_debiased: float
    ece_null_low: float
    ece_null_high: float
    n_bins: int
    signed_confidence_gap: float
    worst_group: str | None
    worst_group_accuracy: float
    group_source: str
    groups: tuple[GroupScore, ...]
    p10_user_accuracy: float
    p10_users: int
    p10_min_rows: int
    intervals: Mapping[str, tuple[float, float]]
    level: float
    reliability: ReliabilityCurve | None
    calibrated: Calibrated | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain Python values; None for NaN."""
        return {field.name: json_value(getattr(self, field.name)) for field in fields(self)}

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text with the names of the attributes; null where there is nothing to score."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row for all comparisons, named "all", then one for each group."""
        import pyarrow as pa

        whole = GroupScore(
            "all",
            self.n,
            self.users,
            self.accuracy,
            self.nll,
            self.brier,
            self.ece,
            self.ece_null_low,
            self.ece_null_high,
            self.intervals,
        )
        rows = []
        for score in (whole, *self.groups):
            row = score.to_dict()
            bounds = row.pop("intervals")
            for metric in ("accuracy", "nll"):
                row[f"{metric}_low"], row[f"{metric}_high"] = bounds[metric]
            rows.append(row)
        text, counts = {"name"}, {"n", "users"}
        kinds = {
            name: pa.string() if name in text else pa.int64() if name in counts else pa.float64() for name in rows[0]
        }
        return pa.Table.from_pylist(rows, schema=pa.schema(kinds))

    def __repr__(self) -> str:
        return "\n".join([self._headline(), "", self._metrics(), "", self._group_table()])

    def _headline(self) -> str:
        placed = [
            f"{count:,} {how}"
            for count, how in (
                (self.n_users_seen, "known from training"),
                (self.n_users_supported, "placed by support answers"),
                (self.n_users_prior, "by the population prior alone"),
            )
            if count
        ]
        ties = f", {self.n_ties:,} of them ties" if self.n_ties else ""
        return f"Evaluation on {self.n:,} comparisons{ties}, by {self.users:,} users ({'; '.join(placed)})"

    def _metrics(self) -> str:
        inside = self.ece_null_low <= self.ece <= self.ece_null_high
        above = self.ece > self.ece_null_high
        verdict = "like a calibrated model" if inside else "above a calibrated model" if above else "below chance"
        notes = {
            "nll": "nats a comparison",
            "ece": f"{verdict}: {span((self.ece_null_low, self.ece_null_high))}" if self.n_decided else "",
            "signed_confidence_gap": "negative: too sure",
            "worst_group_accuracy": self.worst_group or "",
            "p10_user_accuracy": f"{self.p10_users:,} users with {self.p10_min_rows} or more decisions",
        }
        names = ["accuracy", "nll", *(["nll_decided"] if self.n_ties else []), "brier", *list(notes)[1:]]
        rows = [
            [name, number(getattr(self, name)), span(self.intervals.get(name)), notes.get(name, "")] for name in names
        ]
        if self.calibrated is not None:
            after = self.calibrated
            nll = f"nll_decided {number(after.nll_decided)}" if self.n_ties else f"nll {number(after.nll)}"
            band = span((after.ece_null_low, after.ece_null_high))
            rows.append(
                ["temperature", number(after.temperature), "–", f"then {nll}, ece {number(after.ece)} of {band}"]
            )
        width = max(len(row[3]) for row in rows)
        header = ["", "value", f"{self.level:.0%} interval", "note".ljust(width)]
        return text_table(header, [[*row[:3], row[3].ljust(width)] for row in rows])

    def _group_table(self) -> str:
        header = ["group", "rows", "users", "accuracy", "interval", "nll", "ece", "if calibrated"]
        rows = [
            [
                score.name,
                f"{score.n:,}",
                f"{score.users:,}",
                number(score.accuracy),
                span(score.intervals["accuracy"]),
                number(score.nll),
                number(score.ece),
                span((score.ece_null_low, score.ece_null_high)),
            ]
            for score in self.groups
        ]
        return f"Groups: {self.group_source}\n{text_table(header, rows)}"


def json_value(value: Any) -> Any:
    """Plain Python values, with None for numbers that are not finite."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return json_value(value.tolist())
    return None if isinstance(value, float) and not np.isfinite(value) else value
