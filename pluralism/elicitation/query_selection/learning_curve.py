"""How fast a model learns when comparisons are chosen: each method against random ones, on answers that are known."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration import log_loss
from pluralism.elicitation.query_selection.select_comparisons import acquisitions, select_comparisons
from pluralism.errors import ComponentWarning, SeparationWarning, UsageError
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["LearningCurve", "learning_curve"]


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """Held-out loss after each round.

    Attributes
    ----------
    methods : tuple of str
    answers : int array of shape (rounds,)
        How many answers the model has seen.
    nll : array of shape (methods, repeats, rounds)
        Mean negative log-likelihood of the test comparisons, in nats.
    """

    methods: tuple[str, ...]
    answers: Int[np.ndarray, " rounds"]
    nll: Float[np.ndarray, "methods repeats rounds"]

    def gain_over(self, other: str = "random") -> dict[str, float]:
        """By how much each method's loss is lower than the other's, on average over rounds after the first."""
        base = self.nll[self.methods.index(other), :, 1:].mean()
        return {name: float(base - self.nll[i, :, 1:].mean()) for i, name in enumerate(self.methods)}

    def to_frame(self) -> pa.Table:
        """Columns `method, answers, nll` (mean over repeats) and `standard_error`."""
        rows = []
        for i, name in enumerate(self.methods):
            spread = self.nll[i].std(axis=0, ddof=1) if self.nll.shape[1] > 1 else np.full(len(self.answers), np.nan)
            for j, answers in enumerate(self.answers.tolist()):
                error = float(spread[j]) / np.sqrt(self.nll.shape[1])
                rows.append((name, answers, float(self.nll[i, :, j].mean()), None if np.isnan(error) else error))
        names = ("method", "answers", "nll", "standard_error")
        return pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`."""
        return {"curve": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        ends = ", ".join(f"{name} {self.nll[i, :, -1].mean():.4f}" for i, name in enumerate(self.methods))
        return f"LearningCurve({self.nll.shape[1]} repeats; nll after {int(self.answers[-1]):,} answers: {ends})"


def learning_curve(
    make_model: Callable[[], PreferenceModel],
    pool: Comparisons,
    test: Comparisons,
    *,
    methods: Sequence[str] = ("random", "bald"),
    n_start: int = 20,
    batch: int = 20,
    rounds: int = 5,
    repeats: int = 3,
    n_draws: int = 100,
    most_per_item: int | None = None,
    rng: RNG = 0,
) -> LearningCurve:
    """Fit, choose what to ask, look up the answers, and fit again.

    Parameters
    ----------
    make_model : callable
        Gives a new model, not fitted.
    pool, test : Comparisons
        With outcomes: what may be asked, and what the model is scored on.
    methods : sequence of str
        Of `acquisitions()`.
    n_start : int
        Answers that are drawn at random first, the same for all methods.
    batch, rounds : int
        Answers a round, and rounds.
    repeats : int
        From different starts.
    n_draws, most_per_item
        As in `select_comparisons`.
    rng : int, Generator or None
    """
    unknown = [name for name in methods if name.replace("_", "-") not in acquisitions()]
    if unknown or min(n_start, batch, rounds, repeats) < 1 or n_start + batch * rounds > len(pool):
        raise UsageError(
            f"There is no way to choose {unknown[0]!r}." if unknown else "The pool is too small for so many answers.",
            fix=f"Use {', '.join(acquisitions())}; n_start + batch x rounds is at most {len(pool):,}.",
        )
    seed = as_seed(rng)
    nll = np.empty((len(methods), repeats, rounds + 1))
    for repeat in range(repeats):
        start = np.random.default_rng([seed, repeat]).permutation(len(pool))[:n_start]
        for i, method in enumerate(methods):
            generator = np.random.default_rng([seed, repeat, 1])
            known = np.zeros(len(pool), dtype=bool)
            known[start] = True
            for done in range(rounds + 1):
                model = _fitted(make_model, pool.take(known))
                nll[i, repeat, done] = log_loss(model.predict_proba(test), test.outcome, weight=test.weight)
                if done < rounds:
                    left = np.flatnonzero(~known)
                    chosen = select_comparisons(
                        model,
                        pool.take(left),
                        n=batch,
                        method=method,
                        most_per_item=most_per_item,
                        n_draws=n_draws,
                        rng=generator,
                    )
                    known[left[chosen.rows]] = True
    answers = n_start + batch * np.arange(rounds + 1)
    return LearningCurve(tuple(name.replace("_", "-") for name in methods), answers, nll)


def _fitted(make_model: Callable[[], PreferenceModel], data: Comparisons) -> PreferenceModel:
    """A model of few answers, which are nearly always separable and unconnected: no warning says so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        warnings.simplefilter("ignore", ComponentWarning)
        return make_model().fit(data)
