"""Scores on judgements and on people that a model was not fitted to, against one reward for everybody."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pluralism.data.folds import folds
from pluralism.evaluation import Evaluation, FewShotCurve, evaluate, few_shot_curve
from pluralism.evaluation.evaluate import predictions
from pluralism.evaluation.leaks import refuse_shared_rows
from pluralism.evaluation.paired import paired_scores
from pluralism.evaluation.placement import drop_weightless, likely_groups, place_users
from pluralism.evaluation.refitting import aligned_groups, refit
from pluralism.evaluation.scoring import Settings
from pluralism.random import as_generator

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["Difference", "HeldOut", "hold_out_rows", "hold_out_users", "refit", "some_users"]

Difference = dict[str, tuple[float, float, float]]

SHOTS = (0, 1, 2, 5, 10, 20)
SCORED_AFTER_SHOTS = 5
VOTE_FOLDS = 10


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A model and the pooled control on the same rows.

    Attributes
    ----------
    refitted : bool
        Whether both were fitted anew to a part of the data, rather than scored on test data that were given.
    rule : str
        What was held out, in words that complete "held out ...".
    model, pooled : Evaluation, Evaluation or None
        By the model's own groups; None for the pooled one where the model itself has one group.
    difference : mapping of {"accuracy", "nll"} to (value, low, high), or None
        Model less pooled.
    group_difference : mapping of group name to such a mapping
    known_model, known_pooled : Evaluation or None
        By the groups that the data state.
    converged : bool
        Whether all refits converged.
    n_used : int
        Judgements fitted to or scored in the refits; all that were given otherwise.
    """

    refitted: bool
    rule: str
    model: Evaluation
    pooled: Evaluation | None
    difference: Difference | None
    group_difference: Mapping[str, Difference]
    known_model: Evaluation | None
    known_pooled: Evaluation | None
    converged: bool
    n_used: int


def some_users(data: Comparisons, n_rows: int | None, seed: int) -> Comparisons:
    """All rows of users drawn at random, up to about `n_rows` rows; all rows where there are no more."""
    if n_rows is None or len(data) <= n_rows:
        return data
    order = as_generator(seed, "report-sample").permutation(data.n_users)
    reached = np.cumsum(np.bincount(data.user, minlength=data.n_users)[order])
    kept = np.zeros(data.n_users, dtype=bool)
    kept[order[: max(2, int(np.searchsorted(reached, n_rows, side="right")))]] = True
    return data.take(kept[data.user])


def hold_out_rows(
    model: PreferenceModel,
    data: Comparisons,
    *,
    names: Sequence[str],
    test: Comparisons | None = None,
    support: Comparisons | None = None,
    pooled: PreferenceModel | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> HeldOut:
    """Score a model and the pooled control.

    Without `test`, both are fitted anew to four fifths of every person's judgements and scored on the rest: by the
    person's pairs of items, so that no judgement of a pair is on both sides, or by votes where comparisons were made
    from ratings or rankings.

    Parameters
    ----------
    names : sequence of str
        Of the model's groups.
    test, support : Comparisons, optional
    pooled : PreferenceModel, optional
        By default the control that a mixture brings along.

    Raises
    ------
    DataError
        If `test` shares rows with `data`.
    """
    pooled = pooled if pooled is not None else getattr(model, "control_", None)
    if test is not None:
        refuse_shared_rows(test, data, "training")
        rule, refitted, converged, first, second = "the test data", False, True, model, pooled
        group_of = dict(enumerate(names))
    else:
        train, test, rule = _split(data, seed)
        refitted, first = True, refit(model, train, seed)
        second = None if pooled is None else refit(pooled, train, seed)
        converged = all(getattr(m, "converged_", True) for m in (first, second) if m is not None)
        group_of = {k: names[g] for k, g in enumerate(aligned_groups(model, first)) if g >= 0}
    test = drop_weightless(test)
    groups = _groups_of_users(first, test, support, group_of, names)
    settings = Settings(n_bootstrap=n_bootstrap, seed=seed)
    options: dict[str, Any] = {"support": support, "n_bootstrap": n_bootstrap, "rng": seed}
    known = test.groups is not None
    difference: Difference | None = None
    by_group: dict[str, Difference] = {}
    if second is not None:
        difference, by_group = _differences(first, second, test, support, groups, names, settings)
    return HeldOut(
        refitted=refitted,
        rule=rule,
        model=evaluate(first, test, groups=groups, **options),
        pooled=None if second is None else evaluate(second, test, groups=groups, **options),
        difference=difference,
        group_difference=by_group,
        known_model=evaluate(first, test, groups="data", **options) if known else None,
        known_pooled=evaluate(second, test, groups="data", **options) if known and second is not None else None,
        converged=converged,
        n_used=len(data),
    )


def hold_out_users(
    model: PreferenceModel, data: Comparisons, *, n_bootstrap: int = 1000, seed: int = 0
) -> FewShotCurve:
    """Few-shot curve of a fifth of the users, for a model fitted anew without them.

    Raises
    ------
    UsageError
        If there is only one user.
    DataError
        If no held-out user has enough answers.
    """
    train, new = data.split(test=0.2, by="user", rng=seed)
    fresh: Any = refit(model, train, seed)
    control = getattr(model, "control_", None)
    if control is not None:
        # the control of a refit has the ridge of the mixture; this one has its own
        fresh.control_ = refit(control, train, seed)
    rows = np.bincount(new.user)
    enough = int(np.median(rows[rows > 0])) - SCORED_AFTER_SHOTS
    shots = tuple(s for s in SHOTS if s <= enough) or (0, 1)
    return few_shot_curve(fresh, new, shots=shots, min_held_out=SCORED_AFTER_SHOTS, n_bootstrap=n_bootstrap, rng=seed)


def _split(data: Comparisons, seed: int) -> tuple[Comparisons, Comparisons, str]:
    if data.origin == "comparisons":
        train, test = data.split(test=0.2, by="pair", rng=seed)
        return train, test, "a fifth of every person's judgements"
    kept, held = folds(data, VOTE_FOLDS, by="vote", rng=seed)[0]
    return data.take(kept), data.take(held), "all judgements that rest on a tenth of the votes"


def _groups_of_users(
    model: PreferenceModel,
    test: Comparisons,
    support: Comparisons | None,
    name_of: Mapping[int, str],
    names: Sequence[str],
) -> dict[str, str]:
    """Group names of the placed users, ordered by group."""
    group, _ = likely_groups(model, test, place_users(model, test, support))
    present = np.unique(test.user)
    placed = present[np.isin(group[present], list(name_of))]
    labels = test.users.take(pa.array(placed)).to_pylist()
    named = {label: name_of[int(g)] for label, g in zip(labels, group[placed], strict=True)}
    return dict(sorted(named.items(), key=lambda pair: names.index(pair[1])))


def _differences(
    model: PreferenceModel,
    pooled: PreferenceModel,
    test: Comparisons,
    support: Comparisons | None,
    groups: Mapping[str, str],
    names: Sequence[str],
    settings: Settings,
) -> tuple[Difference, dict[str, Difference]]:
    p = {
        key: predictions(m, test, place_users(m, test, support).membership)
        for key, m in (("model", model), ("pooled", pooled))
    }
    code = {name: k for k, name in enumerate(names)}
    group = np.array([code.get(groups.get(user, ""), -1) for user in test.users.to_pylist()])[test.user]

    def difference(rows: np.ndarray) -> Difference:
        parts: dict[Hashable, np.ndarray] = {key: values[rows] for key, values in p.items()}
        paired = paired_scores(parts, test.outcome[rows], test.weight[rows], test.user[rows], settings)
        return {metric: paired.difference(metric, "model", "pooled") for metric in ("accuracy", "nll")}

    everyone = difference(np.ones(len(test), dtype=bool))
    return everyone, {name: difference(group == k) for name, k in code.items() if (group == k).any()}
