"""What the demo found, as plain values: the groups beside the truth, and scores beside those of who knows the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration import accuracy, log_loss
from pluralism.data.demo import AXES, demo_axes, demo_groups
from pluralism.reports import group_name, group_preferences

if TYPE_CHECKING:
    from jaxtyping import Float

    from pluralism.data import Comparisons
    from pluralism.data.demo import DemoTruth
    from pluralism.evaluation import Evaluation, FewShotCurve
    from pluralism.models import MixtureBradleyTerry
    from pluralism.reports import GroupPreferences

__all__ = ["findings", "oracle"]

EXAMPLES = 2


def findings(
    model: MixtureBradleyTerry,
    train: Comparisons,
    truth: DemoTruth,
    evaluations: Mapping[str, Evaluation],
    ceiling: Mapping[str, Any],
    curve: FewShotCurve,
) -> dict[str, Any]:
    """Everything that the demo prints.

    Parameters
    ----------
    model : MixtureBradleyTerry
    train : Comparisons
        What it was fitted to.
    truth : DemoTruth
    evaluations : mapping of str to Evaluation
        Of "pooled" and "mixture", by the true groups.
    ceiling : mapping
        What `oracle` found.
    curve : FewShotCurve
        Of new people.
    """
    membership = model.membership(train)
    rater = {label: code for code, label in enumerate(train.users.to_pylist())}
    true_group = truth.groups[[rater[label] for label in membership.users.to_pylist()]]
    mass = np.stack([membership.posterior[true_group == g].sum(axis=0) for g in range(len(demo_groups()))], axis=1)
    meant = mass.argmax(axis=1)
    preferences = group_preferences(model, train)
    tastes = _tastes(preferences)
    groups = [
        {
            "name": group_name(k),
            "share": float(model.group_weights_[k]),
            "share_interval": model.group_weight_intervals()[k].tolist(),
            "true_name": demo_groups()[meant[k]].name,
            "true_share": float(np.mean(truth.groups == meant[k])),
            "tastes": dict(zip(AXES, tastes[k].tolist(), strict=True)),
            "true_tastes": dict(zip(AXES, demo_groups()[meant[k]].utility, strict=True)),
            "likes": [_example(preferences, position, k) for position in preferences.liked(k, EXAMPLES)],
            "dislikes": [_example(preferences, position, k) for position in preferences.disliked(k, EXAMPLES)],
        }
        for k in range(model.n_groups_)
    ]
    return {
        "raters": train.n_users,
        "n_train": len(train),
        "n_groups": model.n_groups_,
        "n_groups_tried": [row["n_groups"] for row in model.selection_],
        "n_groups_true": len(demo_groups()),
        "groups": groups,
        "placed_right": float(np.mean(meant[membership.labels] == true_group)),
        "certainty": float(np.mean(membership.certainty >= 0.9)),
        **{name: evaluation.to_dict() for name, evaluation in evaluations.items()},
        "ceiling": dict(ceiling),
        "few_shot": curve.to_dict(),
    }


def oracle(test: Comparisons, probability: Float[np.ndarray, " pairs"]) -> dict[str, Any]:
    """Scores of who knows every rater's taste: no model can be expected to do better.

    Parameters
    ----------
    test : Comparisons
    probability : array of shape (pairs,)
        True P(left preferred, given a decision).
    """
    decided = test.outcome != 0.5

    def share_right(rows: np.ndarray) -> float:
        return float(accuracy(probability[rows & decided], test.outcome[rows & decided]))

    names = [group.name for group in demo_groups()]
    by_group = {name: share_right(np.asarray(test.group) == code) for code, name in enumerate(names)}
    return {
        "accuracy": share_right(decided),
        "nll": float(log_loss(probability, test.outcome)),
        "worst_group_accuracy": min(by_group.values()),
        "groups": by_group,
    }


def _tastes(preferences: GroupPreferences) -> Float[np.ndarray, "groups axes"]:
    """How much a group's reward rises along each declared axis; the axes are orthogonal over the corpus."""
    axes = demo_axes()
    sides = np.column_stack([axes[axis][preferences.item] for axis in AXES]).astype(np.float64)
    return np.linalg.lstsq(sides, preferences.reward, rcond=None)[0].T


def _example(preferences: GroupPreferences, position: int, group: int) -> dict[str, Any]:
    items, code = preferences.items, int(preferences.item[position])
    question, text = (None if column is None else column[code].as_py() for column in (items.prompts, items.texts))
    return {"question": question, "text": text, "reward": float(preferences.reward[position, group])}
