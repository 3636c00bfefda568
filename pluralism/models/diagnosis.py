"""Data on which a likelihood alone has no finite or no single optimum: refused without a prior, flagged with one."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa

from pluralism.data.graph import components, strong_components, undefeated_and_winless, win_edges
from pluralism.data.separation import find_separation
from pluralism.errors import ComponentWarning, SeparationError, SeparationWarning
from pluralism.models.preparation import Prepared
from pluralism.solvers import MixtureFit, MixtureObjective, Terms

__all__ = ["diagnose", "refuse_separable"]

SHOWN = 3


def diagnose(prepared: Prepared, terms: Terms, fit: MixtureFit) -> tuple[int, bool]:
    """Number of components that only the prior holds together, and whether the data are separable; warns of both."""
    problem = prepared.problem.judged
    active = problem.weight > 0
    left, right, outcome = problem.left[active], problem.right[active], problem.outcome[active]
    if problem.features is not None:
        separable = len(fit.parameters.log_weights) == 1 and _explains_all(prepared, terms, fit)
        if separable:
            warnings.warn(
                "A linear reward explains every decided comparison: the data are separable, and the size of the "
                "reward is set by the prior.",
                SeparationWarning,
                stacklevel=5,
            )
        return 1, separable
    labels = components(left, right, problem.n_items)
    n_components = len(np.unique(labels[np.unique(np.concatenate([left, right]))]))
    if n_components > 1:
        warnings.warn(
            f"The comparisons fall into {n_components} parts with no comparison between them; rewards can be ranked "
            "within a part, and across parts they rest on the prior alone.",
            ComponentWarning,
            stacklevel=5,
        )
    undefeated, winless = undefeated_and_winless(*win_edges(left, right, outcome), problem.n_items)
    extreme = np.flatnonzero(undefeated | winless)
    if len(extreme):
        warnings.warn(
            f"{int(undefeated.sum())} items never lost and {int(winless.sum())} never won (for example "
            f"{_names(prepared, extreme)}); their rewards are finite because of the prior.",
            SeparationWarning,
            stacklevel=5,
        )
    return n_components, len(extreme) > 0


def refuse_separable(prepared: Prepared) -> None:
    """Without a prior: raise where the likelihood has no finite maximum (Ford 1957; Albert & Anderson 1984).

    Raises
    ------
    SeparationError
        Naming the items, or the direction, that always win.
    """
    problem = prepared.problem.judged
    active = problem.weight > 0
    left, right, outcome = problem.left[active], problem.right[active], problem.outcome[active]
    fix = 'Use ridge="auto", or a positive ridge.'
    if problem.features is None:
        winner, loser = win_edges(left, right, outcome)
        labels = strong_components(winner, loser, problem.n_items)
        played = np.unique(np.concatenate([left, right]))
        if len(np.unique(labels[played])) > 1:
            outside = played[labels[played] != labels[played[0]]]
            raise SeparationError(
                "Without a prior there is no finite fit: the items are not connected by wins in both directions.",
                where=f"{_names(prepared, outside)} and {_names(prepared, played[:1])} are in different parts",
                fix=fix,
            )
        return
    found = find_separation(problem.features.array, left, right, outcome)
    if found.direction is not None:
        axes = np.argsort(-np.abs(found.direction))[:SHOWN]
        raise SeparationError(
            f"Without a prior there is no finite fit: a direction in feature space explains {found.n_strict} answers "
            "and contradicts none.",
            where="its largest components are of dimensions "
            + ", ".join(f"{a} ({found.direction[a]:+.2f})" for a in axes),
            fix=fix,
        )


def _explains_all(prepared: Prepared, terms: Terms, fit: MixtureFit) -> bool:
    problem = prepared.problem.judged
    decided = (problem.weight > 0) & (problem.outcome != 0.5)
    scores = MixtureObjective(problem, 1, terms).scores(fit.parameters)[:, 0]
    z = scores[problem.left] - scores[problem.right] + problem.design @ fit.parameters.covariate_effects[:, 0]
    return bool(decided.any() and np.all(z[decided] * (problem.outcome[decided] - 0.5) > 0))


def _names(prepared: Prepared, codes: np.ndarray) -> str:
    return ", ".join(prepared.comparisons.items.ids.take(pa.array(codes[:SHOWN])).to_pylist())
