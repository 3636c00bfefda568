"""Bradley-Terry with ties: each value has a strength, and people who are not sure have called a tie."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator, check_option
from pluralism.elicitation.aggregators.support import Denial, centred, judged_values, value_components
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers.davidson import DavidsonFit, DavidsonProblem, fit_davidson, fit_davidson_draws
from pluralism.solvers.hodge import gradient_potential

__all__ = [
    "Acquiescence",
    "Unsure",
    "bradley_terry",
    "davidson_answers",
    "fit_values",
    "has_acquiescence",
    "prior_centres",
]

Unsure = Literal["tie", "ignore"]
"""Whether "not sure" is a tie, or says nothing."""

Acquiescence = Literal["auto"] | bool
"""Whether saying yes readily has a term of its own."""

LOG_RIDGE = (-5.0, 5.0)
LEAST_IDENTIFIED = 0.5
EASY_PRECISION = 1e-2


@aggregator("bradley-terry", source="R. A. Bradley, M. E. Terry 1952; ties as R. R. Davidson 1970", has_prior=True)
def bradley_terry(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    ridge: float | Literal["auto"] = "auto",
    acquiescence: Acquiescence = "auto",
    not_sure: Unsure = "tie",
    no_upgrade: Denial = "source",
    prior_rng: np.random.Generator | None = None,
) -> Scores:
    """Strengths of values in log-odds: P(b is called wiser than a | not unsure) = sigmoid(s_b - s_a + acquiescence).

    Parameters
    ----------
    ridge : "auto" or float
        Prior precision of strengths, above 0; "auto" is that of highest marginal likelihood (Laplace).
    acquiescence : "auto" or bool
        Whether people may say yes more readily than they mean it: a term common to all questions. It is told from
        strengths by pairs that are asked both ways, or in circles; "auto" has it where strengths could explain less
        than half of a yes to every question that was asked. Without it, agreeing with every story looks like wisdom.
    not_sure : {"tie", "ignore"}
    no_upgrade : {"source", "tie"}
    prior_rng : Generator, optional
        Set by the bootstrap.
    """
    observed = davidson_answers(graph.counts, not_sure, no_upgrade)
    eager = has_acquiescence(acquiescence, graph.source, graph.wiser, graph.counts.sum(axis=1))
    problem, fit = fit_values(graph, observed, ridge=ridge, acquiescence=eager)
    note("ridge", float(problem.precision[0]))
    note("acquiescence", float(fit.parameters[graph.n_values]) if eager else 0.0)
    note("log_tie", float(fit.parameters[-1]) if problem.ties else None)
    note("standard_error", np.sqrt(np.diag(fit.covariance)[: graph.n_values]), per="value")
    note("converged", fit.converged)
    drawn = davidson_answers(counts, not_sure, no_upgrade)
    centres = prior_centres(problem, graph.n_values, len(counts), prior_rng)
    strengths = fit_davidson_draws(problem, drawn, fit.parameters, centres=centres)[:, : graph.n_values]
    strengths = centred(strengths, value_components(graph)[0])
    return Scores(np.where(judged_values(graph, counts), strengths, np.nan))


def prior_centres(
    problem: DavidsonProblem, n: int, n_draws: int, rng: np.random.Generator | None
) -> Float[np.ndarray, "draws coefs"] | None:
    """Draws of the first n coefficients from their prior, 0 for the others; None without a generator."""
    if rng is None:
        return None
    centres = np.zeros((n_draws, len(problem.precision)))
    centres[:, :n] = rng.normal(size=(n_draws, n)) / np.sqrt(problem.precision[:n])
    return centres


def has_acquiescence(
    asked: Acquiescence, source: Int[np.ndarray, " edges"], wiser: Int[np.ndarray, " edges"], answers: np.ndarray
) -> bool:
    """Whether acquiescence has a term; with "auto" if strengths cannot take its place.

    Were everybody to say yes to everything, differences of strengths would explain a part of that: all of it where
    questions lead one way, without circles. If it is more than half, the two are not told apart well enough.
    """
    check_option("acquiescence", asked, ("auto", True, False))
    if asked != "auto":
        return bool(asked)
    seen = answers > 0
    if not seen.any():
        return False
    weight = answers[seen].astype(np.float64)
    tail, head = source[seen], wiser[seen]
    n = int(max(tail.max(), head.max())) + 1
    explained = gradient_potential(tail, head, np.ones(len(tail)), weight, n)
    left = 1.0 - (explained[head] - explained[tail])
    return bool(weight @ left**2 >= LEAST_IDENTIFIED * weight.sum())


def davidson_answers(counts: np.ndarray, not_sure: Unsure, no_upgrade: Denial) -> Float[np.ndarray, "*rows answers"]:
    """Answers upgrade, no_upgrade and not_sure as yes, no and tie."""
    check_option("not_sure", not_sure, ("tie", "ignore"))
    check_option("no_upgrade", no_upgrade, ("source", "tie"))
    yes, no, tie = (counts[..., k].astype(np.float64) for k in range(3))
    if not_sure == "ignore":
        tie = np.zeros_like(tie)
    if no_upgrade == "tie":
        no, tie = np.zeros_like(no), tie + no
    return np.stack([yes, no, tie], axis=-1)


def fit_values(
    graph: CountedGraph,
    answers: Float[np.ndarray, "edges answers"],
    *,
    ridge: float | Literal["auto"],
    acquiescence: bool,
) -> tuple[DavidsonProblem, DavidsonFit]:
    """Fit strengths of values (and, last before the tie parameter, acquiescence) to answers on edges."""
    n, edges = graph.n_values, graph.n_edges
    index = np.stack([graph.wiser, graph.source, np.full(edges, n)], axis=1).astype(np.int64)
    value = np.tile([1.0, -1.0, 1.0], (edges, 1))
    if not acquiescence:
        index, value = index[:, :2], value[:, :2]
    index, value = np.ascontiguousarray(index), np.ascontiguousarray(value)
    ties = bool(answers[:, 2].any())

    def problem(precision: float) -> DavidsonProblem:
        own = np.full(n, precision)
        return DavidsonProblem(index, value, np.append(own, EASY_PRECISION) if acquiescence else own, ties)

    if ridge != "auto":
        if not (isinstance(ridge, int | float) and np.isfinite(ridge) and ridge > 0):
            raise UsageError(f"ridge={ridge!r} is not possible.", fix='Use "auto" or a number above 0.')
        made = problem(float(ridge))
        return made, fit_davidson(made, answers)
    judged = len(np.unique(np.concatenate([graph.source, graph.wiser])))

    def surprise(log_precision: float) -> float:
        made = problem(float(np.exp(log_precision)))
        # values without an answer have their prior as posterior, and cancel
        return -fit_davidson(made, answers).log_evidence - 0.5 * n * log_precision

    best = minimize_scalar(surprise, bounds=LOG_RIDGE, method="bounded", options={"xatol": 0.05}) if judged else None
    made = problem(float(np.exp(best.x)) if best is not None else 1.0)
    return made, fit_davidson(made, answers)
