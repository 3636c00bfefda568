"""How fast a model learns when comparisons are chosen: each method against random ones, on answers that are known."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pluralism.calibration import log_loss
from pluralism.elicitation.query_selection.curve import LearningCurve
from pluralism.elicitation.query_selection.select_comparisons import acquisitions, select_comparisons
from pluralism.errors import ComponentWarning, SeparationWarning, UsageError
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["learning_curve"]


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
    score: Callable[[PreferenceModel], float] | None = None,
    measure: str = "score",
    higher_is_better: bool = True,
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
    score : callable, optional
        What is measured of each fitted model; left out, the mean negative log-likelihood of the test comparisons
        ("nll", in nats, lower is better).
    measure : str
        What to call the score.
    higher_is_better : bool
        Of the score.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If a method is unknown, or the pool too small.
    """
    unknown = [name for name in methods if name.replace("_", "-") not in acquisitions()]
    if unknown or min(n_start, batch, rounds, repeats) < 1 or n_start + batch * rounds > len(pool):
        raise UsageError(
            f"There is no way to choose {unknown[0]!r}." if unknown else "The pool is too small for so many answers.",
            fix=f"Use {', '.join(acquisitions())}; n_start + batch x rounds is at most {len(pool):,}.",
        )
    seed = as_seed(rng)
    if score is None:
        measure, higher_is_better = "nll", False
    value = np.empty((len(methods), repeats, rounds + 1))
    for repeat in range(repeats):
        start = np.random.default_rng([seed, repeat]).permutation(len(pool))[:n_start]
        for i, method in enumerate(methods):
            generator = np.random.default_rng([seed, repeat, 1])
            known = np.zeros(len(pool), dtype=bool)
            known[start] = True
            for done in range(rounds + 1):
                model = _fitted(make_model, pool.take(known))
                if score is None:
                    value[i, repeat, done] = log_loss(model.predict_proba(test), test.outcome, weight=test.weight)
                else:
                    value[i, repeat, done] = score(model)
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
    names = tuple(name.replace("_", "-") for name in methods)
    return LearningCurve(names, answers, value, measure, higher_is_better)


def _fitted(make_model: Callable[[], PreferenceModel], data: Comparisons) -> PreferenceModel:
    """A model of few answers, which are nearly always separable and unconnected: no warning says so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        warnings.simplefilter("ignore", ComponentWarning)
        return make_model().fit(data)
