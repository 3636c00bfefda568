"""What a comparison of models found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluralism.evaluation.few_shot import FewShotCurve
from pluralism.evaluation.result import Evaluation, json_value
from pluralism.evaluation.text import number, span, text_table

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.models import PreferenceModel

__all__ = ["METRICS", "Comparison", "ComparisonRow"]

METRICS = ("accuracy", "nll")
SCORES = (
    "n",
    "users",
    "accuracy",
    "nll",
    "brier",
    "ece",
    "ece_null_low",
    "ece_null_high",
    "worst_group",
    "worst_group_accuracy",
    "p10_user_accuracy",
)


@dataclass(frozen=True)
class ComparisonRow:
    """One model's line.

    Attributes
    ----------
    name : str
    n_groups : int
    fit_seconds : float
    converged : bool
    evaluation : Evaluation
    differences : mapping of {"accuracy", "nll"} to (value, low, high)
        This model less the reference, on the same rows, with the bootstrap interval over users. Positive accuracy
        and negative nll are better.
    control : mapping or None
        Of the model's control with one group, where it has one: `accuracy`, `nll`, and `accuracy_gain` and
        `nll_gain`, each (value, low, high), of the model less its control.
    best : tuple of str
        Metrics in which this model beats every other by an interval that excludes zero.
    as_good_as_best : tuple of str
        Metrics in which no other model beats this one by an interval that excludes zero.
    few_shot : FewShotCurve or None
        Scores on unseen users by the number of their answers, where there are such users.
    """

    name: str
    n_groups: int
    fit_seconds: float
    converged: bool
    evaluation: Evaluation
    differences: Mapping[str, tuple[float, float, float]]
    control: Mapping[str, Any] | None
    best: tuple[str, ...]
    as_good_as_best: tuple[str, ...] = ()
    few_shot: FewShotCurve | None = None

    def to_dict(self) -> dict[str, Any]:
        """Scores and differences by name; None for NaN."""
        names = ("n", "users", "accuracy", "nll", "brier", "ece", "ece_null_low", "ece_null_high", "worst_group")
        scores = {
            name: getattr(self.evaluation, name) for name in (*names, "worst_group_accuracy", "p10_user_accuracy")
        }
        own = {
            "model": self.name,
            "n_groups": self.n_groups,
            "fit_seconds": self.fit_seconds,
            "converged": self.converged,
            **scores,
            "differences": self.differences,
            "control": self.control,
            "best": self.best,
            "as_good_as_best": self.as_good_as_best,
            "unseen_users": None
            if self.few_shot is None
            else {
                "users": self.few_shot.users,
                "n": self.few_shot.n,
                "shots": self.few_shot.shots,
                "accuracy": self.few_shot.accuracy.tolist(),
                "nll": self.few_shot.nll.tolist(),
            },
        }
        return json_value(own)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Models on the same test rows.

    Attributes
    ----------
    rows : tuple of ComparisonRow
        In the order given.
    reference : str
        The model that differences are taken to.
    models : mapping of str to PreferenceModel
        The fitted models.
    group_source : str
        Where the groups of `worst_group_accuracy` come from; they are the same for all models.
    level : float
        Coverage of the intervals.
    """

    rows: tuple[ComparisonRow, ...]
    reference: str
    models: Mapping[str, PreferenceModel]
    group_source: str
    level: float

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> ComparisonRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def found(self) -> str:
        """In words, what the comparison says of the NLL: who is best, and who is no better than the reference."""
        if len(self.rows) == 1:
            return ""
        lowest = min(self.rows, key=lambda row: row.evaluation.nll)
        others = [row.name for row in self.rows if row is not lowest and "nll" in row.as_good_as_best]
        if "nll" in lowest.best:
            said = f"{lowest.name} predicts better than every other model by more than chance."
        elif others:
            said = f"{lowest.name} has the lowest NLL; {_listed(others)} cannot be told from it."
        else:
            said = f"{lowest.name} has the lowest NLL."
        idle = [row.name for row in self.rows if row.name != self.reference and not row.differences["nll"][2] < 0]
        if idle:
            said += f" No better than {self.reference} by more than chance: {_listed(idle)}."
        alone = [row.name for row in self.rows if row.control and not row.control["nll_gain"][2] < 0]
        if alone:
            said += f" No better than the same model with one reward for everybody: {_listed(alone)}."
        return said

    def to_dict(self) -> dict[str, Any]:
        """The rows as a list under "models", and what they have in common."""
        return {
            "reference": self.reference,
            "group_source": self.group_source,
            "level": self.level,
            "found": self.found,
            "models": [row.to_dict() for row in self.rows],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row a model; differences and control in columns of their own."""
        import pyarrow as pa

        lines = []
        for row in self.rows:
            line = row.to_dict()
            for metric, bounds in line.pop("differences").items():
                for part, value in zip(("", "_low", "_high"), bounds, strict=True):
                    line[f"difference_{metric}{part}"] = value
            control = line.pop("control") or {}
            line |= {f"control_{metric}": control.get(metric) for metric in METRICS}
            line["best"] = ", ".join(line["best"])
            line["as_good_as_best"] = ", ".join(line["as_good_as_best"])
            unseen = line.pop("unseen_users") or {"shots": [], "accuracy": [], "nll": []}
            for metric in METRICS:
                pairs = zip(unseen["shots"], unseen[metric], strict=True)
                line |= {f"unseen_{metric}_{shots}": value for shots, value in pairs}
            lines.append(line)
        return pa.Table.from_pylist(lines)

    def __repr__(self) -> str:
        header = ["model", "groups", "accuracy", "nll", "nll less reference", "ece", "if calibrated", "worst group"]
        header += ["p10 user", "one group: nll", "fit s"]
        lines = []
        for row in self.rows:
            e = row.evaluation
            lines.append(
                [
                    row.name + ("" if row.converged else " (not converged)"),
                    str(row.n_groups),
                    number(e.accuracy) + ("*" if "accuracy" in row.best else ""),
                    number(e.nll) + ("*" if "nll" in row.best else ""),
                    "reference" if row.name == self.reference else _difference(row.differences["nll"]),
                    number(e.ece),
                    span((e.ece_null_low, e.ece_null_high)),
                    number(e.worst_group_accuracy),
                    number(e.p10_user_accuracy),
                    "–" if row.control is None else number(row.control["nll"]),
                    f"{row.fit_seconds:.2f}",
                ]
            )
        first = self.rows[0].evaluation
        return "\n".join(
            [
                f"Comparison on {first.n:,} comparisons by {first.users:,} users",
                "",
                text_table(header, lines),
                "",
                f"* beats every other model ({self.level:.0%} interval of the difference, by bootstrap over users)",
                f"Groups: {self.group_source}",
                *([self.found] if self.found else []),
                *self._unseen(),
            ]
        )

    def _unseen(self) -> list[str]:
        curves = [(row.name, row.few_shot) for row in self.rows if row.few_shot is not None]
        if not curves:
            return []
        first = curves[0][1]
        header = ["model", *(f"{shots} answers" for shots in first.shots)]
        lines = [
            [name, *(f"{number(a)} / {number(n)}" for a, n in zip(curve.accuracy, curve.nll, strict=True))]
            for name, curve in curves
        ]
        return ["", f"{first.users:,} unseen users: accuracy / nll after", text_table(header, lines)]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _difference(values: tuple[float, float, float]) -> str:
    return f"{values[0]:+.3f} [{values[1]:+.3f}, {values[2]:+.3f}]"
