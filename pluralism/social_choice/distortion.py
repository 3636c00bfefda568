"""Distortion: how much worse a choice can be than the best, if the utilities behind the ballots were known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse import coo_array

from pluralism.errors import DataError, UsageError
from pluralism.social_choice.outcome import Lottery, Outcome
from pluralism.social_choice.profile import Profile

__all__ = ["Distortion", "Model", "realised_distortion", "worst_case_distortion"]

Model = Literal["unit-sum", "unit-range", "metric"]
"""What is assumed of utilities; see `worst_case_distortion`."""

MOST_TRIANGLES = 200_000
"""Triangle inequalities up to which metric distortion is computed."""

NOTHING = 1e-9
"""A smaller part of the welfare of the best (or of the cost of the choice) is none."""


@dataclass(frozen=True, eq=False)
class Distortion:
    """How much worse a choice is than the best candidate.

    Attributes
    ----------
    value : float
        1 or more: welfare of the best over welfare of the choice or, with the metric model, cost of the choice over
        cost of the best. Infinite where the choice can be worth nothing (or the best cost nothing).
    model : str
        "unit-sum", "unit-range" or "metric" for the worst case; "known" for given utilities.
    chosen : tuple of str
        The candidate chosen, the worst of tied ones; or those that a lottery can draw.
    best : str
        The candidate that is best where the choice does worst.
    utilities : float array of shape (ballots, candidates), optional
        Utilities (with the metric model, distances) of the voters of each ballot of `profile.compressed()` in the worst
        case; None for known utilities.
    """

    value: float
    model: str
    chosen: tuple[str, ...]
    best: str
    utilities: Float[np.ndarray, "ballots candidates"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; None for an infinite value."""
        return {
            "value": self.value if np.isfinite(self.value) else None,
            "model": self.model,
            "chosen": list(self.chosen),
            "best": self.best,
            "utilities": None if self.utilities is None else self.utilities.tolist(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row: `value, model, chosen, best`."""
        row = {"value": self.value, "model": self.model, "chosen": list(self.chosen), "best": self.best}
        return pa.Table.from_pylist([row])

    def __repr__(self) -> str:
        return f"Distortion({self.value:.4g}, {self.model}: {', '.join(self.chosen)} where {self.best} is best)"


def realised_distortion(
    utilities: ArrayLike,
    outcome: Outcome | Lottery,
    *,
    weights: ArrayLike | None = None,
    costs: bool = False,
) -> Distortion:
    """How much worse the choice is than the best candidate, for known utilities.

    Parameters
    ----------
    utilities : array of shape (voters, candidates)
        Not negative, candidates in the order of the outcome.
    outcome : Outcome or Lottery
        Of tied winners, the worst counts.
    weights : array of shape (voters,), optional
        How many voters each row stands for.
    costs : bool
        Whether they are costs, of which less is better.
    """
    values = np.asarray(utilities, dtype=float)
    m = len(outcome.candidates)
    if values.ndim != 2 or values.shape[1] != m or not np.isfinite(values).all() or (values < 0).any():
        raise DataError(
            f"Utilities are finite numbers of at least 0, of shape (voters, {m}).",
            fix="Give one column for each candidate of the outcome.",
        )
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(values),) or not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise DataError(f"Weights are {len(values)} numbers of at least 0, not all 0.", fix="Give one for each voter.")
    totals = w @ values
    best = int(totals.argmin() if costs else totals.argmax())
    if isinstance(outcome, Lottery):
        chosen, got = outcome.winners, float(totals @ outcome.probabilities)
    else:
        of_winners = {name: float(totals[outcome.candidates.index(name)]) for name in outcome.winners}
        name = (max if costs else min)(of_winners, key=of_winners.__getitem__)
        chosen, got = (name,), of_winners[name]
    more, less = (got, float(totals[best])) if costs else (float(totals[best]), got)
    value = 1.0 if more == less else np.inf if less == 0 else more / less
    return Distortion(value, "known", chosen, outcome.candidates[best])


def worst_case_distortion(profile: Profile, outcome: Outcome | Lottery, *, model: Model = "unit-sum") -> Distortion:
    """The largest distortion over all utilities that the ballots allow, by linear programmes (HiGHS).

    Who ranks one candidate strictly above another does not like it less; nothing follows from ties and from what a
    ballot does not compare.

    Parameters
    ----------
    profile : Profile
    outcome : Outcome or Lottery
        For the candidates of the profile. Of tied winners, the worst counts.
    model : {"unit-sum", "unit-range", "metric"}
        - "unit-sum": utilities of each voter are not negative and add up to 1;
        - "unit-range": they lie between 0 and 1, and each voter has both;
        - "metric": voters and candidates are points of some metric space, and the cost is the distance. There may be
          no more than a few hundred pairs of ballots and candidates.

    Returns
    -------
    Distortion
        With utilities, or distances, that attain it.

    References
    ----------
    A. Procaccia and J. Rosenschein, The Distortion of Cardinal Preferences in Voting, CIA 2006; E. Anshelevich et al.,
    Approximating Optimal Social Choice under Metric Preferences, Artificial Intelligence 2018; A. Goel, A. Krishnaswamy
    and K. Munagala, Metric Distortion of Social Choice Rules, EC 2017 (the programme for metrics).
    """
    if model not in get_args(Model):
        raise UsageError(f"There is no model {model!r}.", fix=f"Choose one of {', '.join(get_args(Model))}.")
    if outcome.candidates != profile.candidates or profile.total == 0:
        raise UsageError("The outcome is not one of this profile.", fix="Apply the rule to the profile.")
    ballots = profile.compressed()
    n, m = ballots.levels.shape
    if model == "metric" and n * (n - 1) * m * (m - 1) > MOST_TRIANGLES:
        raise UsageError(
            f"{n} different ballots on {m} candidates are too many for metric distortion.",
            fix="Use fewer candidates, or model='unit-sum'.",
        )
    if isinstance(outcome, Lottery):
        choices = [(outcome.winners, outcome.probabilities)]
    else:
        choices = [((name,), np.eye(m)[profile.candidates.index(name)]) for name in outcome.winners]
    found = []
    for names, chances in choices:
        for other in range(m):
            case = _worst_case(ballots, chances, other, model)
            if case is None:
                continue
            part, utilities = case
            value = np.inf if part < NOTHING else max(1.0 / part, 1.0)
            found.append(Distortion(value, model, names, profile.candidates[other], utilities))
    return max(found, key=lambda distortion: distortion.value)


def _worst_case(
    ballots: Profile, chances: Float[np.ndarray, " candidates"], other: int, model: Model
) -> tuple[float, Float[np.ndarray, "ballots candidates"]] | None:
    """The least that the choice can be worth if `other` is worth 1 in all (or `other` can cost if the choice costs 1).

    The ratio of two linear functions is made linear by scaling all utilities (A. Charnes and W. Cooper 1962); the last
    variable is the scale.
    """
    n, m = ballots.levels.shape
    weights = ballots.counts / ballots.total
    of_choice = np.append((weights[:, None] * chances).ravel(), 0.0)
    of_other = np.append((weights[:, None] * (np.arange(m) == other)).ravel(), 0.0)
    rows = _order_rows(ballots, costs=model == "metric")
    equal: list[dict[int, float]] = []
    if model == "metric":
        rows += _triangle_rows(n, m)
        of_choice, of_other = of_other, of_choice
    elif model == "unit-sum":
        equal = [{**{b * m + c: 1.0 for c in range(m)}, n * m: -1.0} for b in range(n)]
    else:
        rows += [{b * m + c: 1.0, n * m: -1.0} for b in range(n) for c in range(m)]
        for b in range(n):
            top, bottom = _extremes(ballots, b, chances, other)
            equal += [{b * m + top: 1.0, n * m: -1.0}, {b * m + bottom: 1.0}] if m > 1 else [{b: 1.0, n: -1.0}]
    whole = {i: float(w) for i, w in enumerate(of_other) if w}
    programme: dict[str, Any] = {
        "A_eq": _sparse([whole, *equal], n * m + 1),
        "b_eq": np.append(1.0, np.zeros(len(equal))),
    }
    if rows:
        programme |= {"A_ub": _sparse(rows, n * m + 1), "b_ub": np.zeros(len(rows))}
    result = linprog(of_choice, **programme)
    if result.status == 2 and model == "unit-range":
        # Everybody ranks `other` last, so that it is worth nothing.
        return None
    if result.status != 0:
        raise DataError(f"HiGHS did not solve the programme: {result.message}", fix="Try fewer ballots or candidates.")
    scale = result.x[-1] if model != "metric" and result.x[-1] > 0 else 1.0
    return float(result.fun), result.x[:-1].reshape(n, m) / scale


def _order_rows(ballots: Profile, *, costs: bool) -> list[dict[int, float]]:
    """Who is on one level is not worth less (or does not cost more) than who is on the next."""
    m = ballots.n_candidates
    sign = -1.0 if costs else 1.0
    rows: list[dict[int, float]] = []
    for b, levels in enumerate(ballots.levels):
        last = int(levels.max())
        places = np.where(levels < 0, last + 1 if ballots.unlisted == "below" else -2, levels)
        for level in range(last + 1):
            for above in np.flatnonzero(places == level).tolist():
                for below in np.flatnonzero(places == level + 1).tolist():
                    rows.append({b * m + below: sign, b * m + above: -sign})
    return rows


def _triangle_rows(n: int, m: int) -> list[dict[int, float]]:
    """From a voter to a candidate it is no further than by way of another candidate and another voter."""
    return [
        {b * m + c: 1.0, b * m + d: -1.0, a * m + d: -1.0, a * m + c: -1.0}
        for b in range(n)
        for a in range(n)
        if a != b
        for c in range(m)
        for d in range(m)
        if c != d
    ]


def _extremes(ballots: Profile, ballot: int, chances: Float[np.ndarray, " candidates"], other: int) -> tuple[int, int]:
    """Who of those who may be a voter's best and worst are so where the choice is worth least against `other`."""
    levels = ballots.levels[ballot].astype(np.int64)
    free = (levels < 0) & (ballots.unlisted == "ignore")
    places = np.where(levels < 0, levels.max() + 1, levels)
    tops = np.flatnonzero((places == 0) | free)
    top = other if other in tops else int(tops[np.argmin(chances[tops])])
    last = places[~free].max()
    bottoms = np.flatnonzero((places == last) | free)
    bottoms = bottoms[bottoms != top]
    if len(bottoms) == 0:
        return top, top
    spared = bottoms[bottoms != other]
    return top, int(spared[np.argmax(chances[spared])]) if len(spared) else other


def _sparse(rows: list[dict[int, float]], width: int) -> coo_array:
    """Rows of coefficients by column as a matrix."""
    row = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    column = [i for each in rows for i in each]
    value = [v for each in rows for v in each.values()]
    return coo_array((value, (row, column)), shape=(len(rows), width))
