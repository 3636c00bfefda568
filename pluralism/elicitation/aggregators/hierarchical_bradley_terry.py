"""Bradley-Terry over contexts: each value has a strength of its own in each context, drawn towards a common one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.bradley_terry import (
    EASY_PRECISION,
    LOG_RIDGE,
    Acquiescence,
    Unsure,
    davidson_answers,
    has_acquiescence,
    prior_centres,
)
from pluralism.elicitation.aggregators.support import Denial, centred, judged_values, value_components
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers.davidson import DavidsonFit, DavidsonProblem, fit_davidson, fit_davidson_draws

__all__ = ["hierarchical_bradley_terry"]


@aggregator(
    "hierarchical-bradley-terry",
    source="R. A. Bradley, M. E. Terry 1952; R. R. Davidson 1970; D. V. Lindley, A. F. M. Smith 1972",
    view="contexts",
    borrows=True,
    has_prior=True,
)
def hierarchical_bradley_terry(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    chosen: tuple[int, ...] | None = None,
    ridge: float | Literal["auto"] = "auto",
    context_ridge: float | Literal["auto"] = "auto",
    acquiescence: Acquiescence = "auto",
    not_sure: Unsure = "tie",
    no_upgrade: Denial = "source",
    prior_rng: np.random.Generator | None = None,
) -> Scores:
    """Strengths s_vc = m_v + d_vc in log-odds: of all contexts together (m_v), or of one.

    A context with few answers borrows from the others; one with many goes its own way.

    Parameters
    ----------
    chosen : tuple of int, optional
        Contexts whose mean strength is the score; set by `aggregate` from its `context` or `case`.
    ridge, context_ridge : "auto" or float
        Prior precisions of m_v and d_vc, above 0; "auto" are those of highest marginal likelihood (Laplace).
    acquiescence, not_sure, no_upgrade, prior_rng
        As in `bradley_terry`.
    """
    n = graph.n_values
    observed = davidson_answers(graph.counts, not_sure, no_upgrade)
    apart = n * graph.context.astype(np.int64)
    eager = has_acquiescence(acquiescence, graph.source + apart, graph.wiser + apart, graph.counts.sum(axis=1))
    index, value, places = _design(graph, eager)
    problem, fit = _fit(index, value, n, len(places), observed, (ridge, context_ridge), eager)
    note("ridge", float(problem.precision[0]))
    note("context_ridge", float(problem.precision[n]) if len(places) else None)
    note("acquiescence", float(fit.parameters[n + len(places)]) if eager else 0.0)
    note("converged", fit.converged)
    drawn = davidson_answers(counts, not_sure, no_upgrade)
    centres = prior_centres(problem, n + len(places), len(counts), prior_rng)
    parameters = fit_davidson_draws(problem, drawn, fit.parameters, centres=centres)
    strengths = parameters[:, :n].copy()
    judged = judged_values(graph, counts)
    if chosen is not None:
        inside = np.isin(places[:, 1], chosen)
        for place in np.flatnonzero(inside):
            strengths[:, places[place, 0]] += parameters[:, n + place] / len(chosen)
        here = np.isin(graph.context, chosen)
        judged &= judged_values(graph, np.where(here[None, :, None], counts, 0))
    strengths = centred(strengths, value_components(graph)[0])
    return Scores(np.where(judged, strengths, np.nan))


def _design(
    graph: CountedGraph, acquiescence: bool
) -> tuple[Int[np.ndarray, "edges terms"], Float[np.ndarray, "edges terms"], Int[np.ndarray, "places two"]]:
    """Coefficients of each edge, and the (value, context) that each departure is of."""
    n, contexts = graph.n_values, len(graph.contexts)
    key = np.concatenate([graph.wiser, graph.source]).astype(np.int64) * contexts + np.tile(graph.context, 2)
    found, where = np.unique(key, return_inverse=True)
    departures = n + where.reshape(2, -1)
    columns = [graph.wiser, graph.source, departures[0], departures[1]]
    signs = [1.0, -1.0, 1.0, -1.0]
    if acquiescence:
        columns.append(np.full(graph.n_edges, n + len(found)))
        signs.append(1.0)
    index = np.ascontiguousarray(np.stack(columns, axis=1).astype(np.int64))
    return index, np.tile(signs, (graph.n_edges, 1)), np.stack([found // contexts, found % contexts], axis=1)


def _fit(
    index: Int[np.ndarray, "edges terms"],
    value: Float[np.ndarray, "edges terms"],
    n: int,
    n_departures: int,
    answers: Float[np.ndarray, "edges answers"],
    ridges: tuple[float | Literal["auto"], float | Literal["auto"]],
    acquiescence: bool,
) -> tuple[DavidsonProblem, DavidsonFit]:
    for name, ridge in zip(("ridge", "context_ridge"), ridges, strict=True):
        if ridge != "auto" and not (isinstance(ridge, int | float) and np.isfinite(ridge) and ridge > 0):
            raise UsageError(f"{name}={ridge!r} is not possible.", fix='Use "auto" or a number above 0.')
    free = [i for i, ridge in enumerate(ridges) if ridge == "auto"]
    fixed = np.array([0.0 if ridge == "auto" else np.log(ridge) for ridge in ridges])
    state: dict[str, np.ndarray] = {}

    def problem(logs: Float[np.ndarray, " two"]) -> DavidsonProblem:
        own = np.concatenate([np.full(n, np.exp(logs[0])), np.full(n_departures, np.exp(logs[1]))])
        precision = np.append(own, EASY_PRECISION) if acquiescence else own
        return DavidsonProblem(index, value, precision, bool(answers[:, 2].any()))

    def surprise(x: Float[np.ndarray, " free"]) -> float:
        logs = fixed.copy()
        logs[free] = x
        fit = fit_davidson(problem(logs), answers, start=state.get("start"))
        state["start"] = fit.parameters
        return -fit.log_evidence - 0.5 * float(n * logs[0] + n_departures * logs[1])

    if free and len(index):
        start = np.array([0.0, 1.0])[free]
        best = minimize(
            surprise,
            start,
            method="Nelder-Mead",
            bounds=[LOG_RIDGE] * len(free),
            options={"xatol": 0.05, "fatol": 1e-3, "maxiter": 60},
        )
        fixed[free] = best.x
    made = problem(fixed)
    return made, fit_davidson(made, answers, start=state.get("start"))
