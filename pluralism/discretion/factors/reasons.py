"""Why annotators prefer what they prefer: what goes with their verdicts, and what each factor adds to the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import ndtri

from pluralism.calibration.text import format_table, json_ready
from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.factors.differences import checked_factors, factor_differences
from pluralism.discretion.factors.influence import FactorAgreement, FactorInfluence, Ties, influence_of
from pluralism.discretion.factors.property_weights import PropertyWeights, property_weights
from pluralism.errors import DataError
from pluralism.random import RNG

__all__ = ["Reasons", "explain_verdicts"]


@dataclass(frozen=True, eq=False, repr=False)
class Reasons:
    """Factors by themselves, and beside each other.

    Attributes
    ----------
    influence : FactorInfluence
        Of all factors.
    weights : PropertyWeights
        Of the factors that differ anywhere, with a level ``judge`` where there are several annotators.
    scale : array of shape (properties,)
        Root mean square of each difference, which is the unit of its weight.
    agreement : tuple of FactorAgreement
        Of the influences on the first annotator with those on each other one.
    """

    influence: FactorInfluence
    weights: PropertyWeights
    scale: Float[np.ndarray, " properties"]
    agreement: tuple[FactorAgreement, ...]

    def weights_of(self, annotator: str) -> tuple[Float[np.ndarray, " factors"], Float[np.ndarray, " factors"]]:
        """Mean and standard deviation of one annotator's weights; NaN for factors that never differ."""
        mean, sd = self.weights.mean, self.weights.sd
        if "judge" in self.weights.by_level:
            labels, means, deviations = self.weights.by_level["judge"]
            own = labels.index(annotator)
            mean, sd = means[own], deviations[own]
        out = np.full((2, len(self.influence.factors)), np.nan)
        out[:, [self.influence.factors.index(name) for name in self.weights.properties]] = mean, sd
        return out[0], out[1]

    def to_frame(self) -> pa.Table:
        """A row for each annotator and factor.

        Columns `annotator, factor, influence, low, high, weight, weight_low, weight_high`.
        """
        found = [self.weights_of(name) for name in self.influence.annotators]
        mean, sd = (np.concatenate(part) for part in zip(*found, strict=True))
        wide = ndtri(0.5 + self.weights.level / 2.0) * sd
        table = self.influence.to_frame()
        for name, values in {"weight": mean, "weight_low": mean - wide, "weight_high": mean + wide}.items():
            table = table.append_column(name, pa.array(values, mask=np.isnan(values)))
        return table

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        weights = self.weights.to_dict()
        return json_ready(
            {
                "ties": self.influence.ties,
                "factors": self.to_frame().to_pylist(),
                "weights": weights,
                "scale": dict(zip(self.weights.properties, self.scale.tolist(), strict=True)),
                "agreement": [
                    {"annotators": list(found.annotators), "rows": found.to_frame().to_pylist()}
                    for found in self.agreement
                ],
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"factor": list(self.influence.factors)}
        for k, name in enumerate(self.influence.annotators):
            columns |= {f"{name}: influence": self.influence.value[k].tolist()}
            columns |= {f"{name}: weight": self.weights_of(name)[0].tolist()}
        return format_table(columns, 2)


def explain_verdicts(
    comparisons: Comparisons,
    annotators: Sequence[Verdicts],
    *,
    factors: Sequence[str] | None = None,
    scenario: Sequence[str] | None = None,
    ties: Ties = "factor",
    by: Literal["comparison", "annotator"] = "comparison",
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> Reasons:
    """Say which factors verdicts go with, by `factor_influence` and `property_weights` of the same differences.

    Annotators are the judges of `property_weights`: their weights lie around common ones. A difference is divided by
    its root mean square, so that weights can be compared.

    Parameters
    ----------
    comparisons : Comparisons
    annotators : sequence of Verdicts
        With different names; their decisions count, not how sure they are.
    factors : sequence of str, optional
        As in `factor_differences`.
    scenario : sequence of str, shape (pairs,), optional
        Labels of the comparisons whose weights differ around the common ones, such as the source or the prompt.
    ties : {"factor", "none", "b"}
        As in `factor_influence`.
    by, n_bootstrap, level, rng
        Of the intervals of the influence, as in `audit_discretion`.

    Raises
    ------
    DataError
        If no factor differs on any comparison, or nobody has a verdict.
    UsageError
        An unknown factor, or too many scenarios.

    Examples
    --------
    >>> from pluralism.data import Items
    >>> items = Items(["a", "b", "c"], texts=["Yes.", "Yes, of course.", "No, perhaps not at all."])
    >>> data = Comparisons.from_arrays(left=["a", "b", "c"], right=["b", "c", "a"], items=items)
    >>> found = explain_verdicts(data, [Verdicts("ann", [0, 0, 1])], factors=["length"], n_bootstrap=0)
    >>> found.influence.value.tolist(), bool(found.weights.mean[0] > 0)
    ([[1.0]], True)
    """
    chosen = checked_factors(comparisons, None if factors is None else list(dict.fromkeys(factors)))
    lead = factor_differences(comparisons, chosen)
    influence = influence_of(
        comparisons, annotators, chosen, lead, ties=ties, by=by, n_bootstrap=n_bootstrap, level=level, rng=rng
    )
    scale = np.sqrt(np.mean(lead**2, axis=0)) if len(lead) else np.zeros(len(chosen))
    differs = np.flatnonzero(scale > 0)
    asked = [np.flatnonzero(~np.isnan(annotator.left)) for annotator in annotators]
    rows = np.concatenate(asked)
    if not len(differs) or not len(rows):
        raise DataError(
            "No factor differs between the items of any comparison." if len(rows) else "Nobody has a verdict.",
            fix="Name other factors, or give columns of your own.",
        )
    sides = np.concatenate([a.sides(graded=False)[own] for a, own in zip(annotators, asked, strict=True)])
    names = [annotator.name for annotator in annotators]
    weights = property_weights(
        lead[np.ix_(rows, differs)] / scale[differs],
        0.5 * (1.0 + sides[:, 0] - sides[:, 1]),
        [chosen[k] for k in differs],
        judge=None
        if len(names) == 1
        else np.repeat(np.array(names, dtype=object), [len(own) for own in asked]).tolist(),
        scenario=None if scenario is None else np.asarray(scenario, dtype=object)[rows].tolist(),
        weight=comparisons.weight[rows],
        level=level,
    )
    return Reasons(
        influence, weights, scale[differs], tuple(influence.agreement(names[0], other) for other in names[1:])
    )
