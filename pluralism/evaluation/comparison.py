"""Several models on the same data, with differences that say whether they are more than chance."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from sklearn.base import clone

from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.evaluation.evaluate import predictions
from pluralism.evaluation.groups import Grouping, GroupsArgument, choose_groups
from pluralism.evaluation.leaks import shared_rows
from pluralism.evaluation.paired import Paired, paired_scores
from pluralism.evaluation.placement import Placement, drop_weightless, place_users
from pluralism.evaluation.result import Evaluation, json_value
from pluralism.evaluation.scoring import Settings, evaluate_predictions
from pluralism.evaluation.text import number, span, text_table
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["Comparison", "ComparisonRow", "compare"]

Callback = Callable[[str, str, int, float], None]
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
    """

    name: str
    n_groups: int
    fit_seconds: float
    converged: bool
    evaluation: Evaluation
    differences: Mapping[str, tuple[float, float, float]]
    control: Mapping[str, Any] | None
    best: tuple[str, ...]

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

    def to_dict(self) -> dict[str, Any]:
        """The rows as a list under "models", and what they have in common."""
        return {
            "reference": self.reference,
            "group_source": self.group_source,
            "level": self.level,
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
            ]
        )


def compare(
    models: Mapping[str, PreferenceModel],
    train: Comparisons,
    test: Comparisons,
    *,
    support: Comparisons | None = None,
    reference: str | None = None,
    groups: GroupsArgument = None,
    n_bins: int = 15,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    min_user_rows: int = 5,
    callback: Callback | None = None,
    rng: RNG = 0,
) -> Comparison:
    """Fit models to the same data and score them on the same rows.

    Parameters
    ----------
    models : mapping of str to PreferenceModel
        Each is cloned, so those given stay as they are.
    train, test : Comparisons
        A `DataWarning` says so if they share rows.
    support, groups, n_bins, n_bootstrap, level, min_user_rows, rng
        As in `evaluate`. Without groups in the data, those of the model with most groups are used for all models.
    reference : str, optional
        Name of the model that differences are taken to; the first by default.
    callback : callable, optional
        Called while fitting, as (model name, piece, iteration, objective).

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        If there is no model, or no such reference.
    """
    if not models:
        raise UsageError("There are no models to compare.", fix='Pass a mapping such as {"bt": BradleyTerry()}.')
    reference = next(iter(models)) if reference is None else reference
    if reference not in models:
        raise UsageError(f"There is no model {reference!r} to refer to.", fix=f"Choose one of {sorted(models)}.")
    settings = Settings(n_bins, n_bootstrap, level, min_user_rows, as_seed(rng))
    test = drop_weightless(test)
    if len(test) == 0:
        raise DataError("There are no comparisons of positive weight to score.", fix="Pass test data with rows.")
    shared = shared_rows(test, drop_weightless(train))
    if len(shared):
        warnings.warn(
            f"{len(shared):,} of the {len(test):,} test rows are also in the training data, with the same answer "
            f"(the first is row {shared[0] + 1}): scores are too good. Split with comparisons.split(by='pair').",
            DataWarning,
            stacklevel=2,
        )
    fitted, seconds = {}, {}
    for name, model in models.items():
        start = time.perf_counter()
        fitted[name] = _fit(name, clone(model), train, callback)
        seconds[name] = time.perf_counter() - start
    placements = {name: place_users(model, test, support) for name, model in fitted.items()}
    grouping = _common_groups(fitted, test, placements, groups)
    p = {name: predictions(model, test, placements[name].membership) for name, model in fitted.items()}
    controls = {
        name: predictions(model.control_, test, None) for name, model in fitted.items() if hasattr(model, "control_")
    }
    paired = paired_scores(
        {("model", name): values for name, values in p.items()}
        | {("control", name): values for name, values in controls.items()},
        test.outcome,
        test.weight,
        test.user,
        settings,
    )
    rows = []
    for name, model in fitted.items():
        evaluation = evaluate_predictions(
            p[name],
            test.outcome,
            test.weight,
            test.user,
            grouping,
            placements[name].counts(test.user),
            settings,
        )
        rows.append(
            ComparisonRow(
                name=name,
                n_groups=int(model.n_groups_),
                fit_seconds=seconds[name],
                converged=bool(model.converged_),
                evaluation=evaluation,
                differences={m: paired.difference(m, ("model", name), ("model", reference)) for m in METRICS},
                control=_control(paired, name) if name in controls else None,
                best=tuple(m for m in METRICS if _beats_all(paired, m, name, list(fitted))),
            )
        )
    return Comparison(tuple(rows), reference, fitted, grouping.source, level)


def _fit(name: str, model: PreferenceModel, train: Comparisons, callback: Callback | None) -> PreferenceModel:
    if callback is None:
        return model.fit(train)

    def tell(piece: str, iteration: int, objective: float) -> None:
        callback(name, piece, iteration, objective)

    return model.fit(train, callback=tell)


def _common_groups(
    fitted: Mapping[str, PreferenceModel],
    test: Comparisons,
    placements: Mapping[str, Placement],
    groups: GroupsArgument,
) -> Grouping:
    name = max(fitted, key=lambda name: fitted[name].n_groups_)
    grouping = choose_groups(fitted[name], test, placements[name], groups)
    if len(fitted) > 1 and "model" in grouping.source:
        return Grouping(grouping.code, grouping.names, f"{grouping.source} (of {name!r}, for all models)")
    return grouping


def _control(paired: Paired, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {metric: paired.value(metric, ("control", name)) for metric in METRICS}
    return out | {f"{m}_gain": paired.difference(m, ("model", name), ("control", name)) for m in METRICS}


def _beats_all(paired: Paired, metric: str, name: str, names: list[str]) -> bool:
    others = [other for other in names if other != name]
    bounds = np.array([paired.difference(metric, ("model", name), ("model", other))[1:] for other in others])
    if not others:
        return False
    return bool((bounds[:, 0] > 0).all() if metric == "accuracy" else (bounds[:, 1] < 0).all())


def _difference(values: tuple[float, float, float] | Float[np.ndarray, " 3"]) -> str:
    return f"{values[0]:+.3f} [{values[1]:+.3f}, {values[2]:+.3f}]"
