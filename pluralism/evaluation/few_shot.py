"""How fast a new person is understood: scores against the number of answers given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from pluralism.data.labels import label_codes
from pluralism.data.units import user_pairs
from pluralism.errors import DataError, UsageError
from pluralism.evaluation.evaluate import predictions
from pluralism.evaluation.paired import paired_scores
from pluralism.evaluation.placement import drop_weightless
from pluralism.evaluation.result import json_value
from pluralism.evaluation.scoring import Settings
from pluralism.evaluation.text import number, span, text_table
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["FewShotCurve", "few_shot_curve"]


@dataclass(frozen=True, eq=False, repr=False)
class FewShotCurve:
    """Scores of unseen users on the same held-out answers, after each number of answers.

    Attributes
    ----------
    shots : tuple of int
        Answers given.
    accuracy, nll : arrays of shape (shots,)
        Over all repeats; ties count half in the nll and not in the accuracy.
    accuracy_interval, nll_interval : arrays of shape (shots, 2)
        Bootstrap over users, at `level`.
    nll_gain : array of shape (shots, 3)
        nll less that after `shots[0]` answers, and the interval of the difference; negative is better.
    control_accuracy, control_nll : float
        Of the model's control with one group, which no answer moves; NaN where the model has none.
    users : int
        Users with enough answers.
    users_left_out : int
        Unseen users with too few, and users known from training.
    n : int
        Scored rows, over all repeats.
    repeats : int
    level : float
    """

    shots: tuple[int, ...]
    accuracy: Float[np.ndarray, " shots"]
    nll: Float[np.ndarray, " shots"]
    accuracy_interval: Float[np.ndarray, "shots 2"]
    nll_interval: Float[np.ndarray, "shots 2"]
    nll_gain: Float[np.ndarray, "shots 3"]
    control_accuracy: float
    control_nll: float
    users: int
    users_left_out: int
    n: int
    repeats: int
    level: float

    def to_frame(self) -> pa.Table:
        """One row for each number of answers."""
        import pyarrow as pa

        columns = {"shots": self.shots, "accuracy": self.accuracy, "nll": self.nll}
        for metric in ("accuracy", "nll"):
            bounds = getattr(self, f"{metric}_interval")
            columns |= {f"{metric}_low": bounds[:, 0], f"{metric}_high": bounds[:, 1]}
        return pa.table({name: pa.array(values) for name, values in columns.items()})

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain Python values; None for NaN."""
        values = {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()
        }
        return json_value(values)

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        rows = [
            [
                str(shots),
                number(self.accuracy[i]),
                span(tuple(self.accuracy_interval[i])),
                number(self.nll[i]),
                span(tuple(self.nll_interval[i])),
            ]
            for i, shots in enumerate(self.shots)
        ]
        if not np.isnan(self.control_nll):
            rows.append(["one group", number(self.control_accuracy), "–", number(self.control_nll), "–"])
        header = ["answers", "accuracy", f"{self.level:.0%} interval", "nll", f"{self.level:.0%} interval"]
        return (
            f"Few-shot curve of {self.users:,} unseen users on {self.n:,} held-out answers "
            f"({self.repeats} random orders)\n\n{text_table(header, rows)}"
        )


def few_shot_curve(
    model: PreferenceModel,
    comparisons: Comparisons,
    *,
    shots: Sequence[int] = (0, 1, 2, 5, 10, 20),
    repeats: int = 5,
    min_held_out: int = 5,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> FewShotCurve:
    """Place unseen users by their first answers and score the rest.

    In each repeat a user's answers are put in random order. The first max(shots) of them are for placing, the others
    are held out and the same for every number of shots, so that points of the curve differ by the placing alone.
    Held-out judgements of a pair that is among the first are left out.

    Parameters
    ----------
    model : PreferenceModel
        Fitted on other users.
    comparisons : Comparisons
        Answers of unseen users; users known from training, and users with fewer than max(shots) + min_held_out rows,
        are left out and counted.
    shots : sequence of int
        Numbers of answers, at least 0; sorted, each once.
    repeats : int
        Random orders.
    min_held_out : int
        Rows a user must have beyond max(shots).
    n_bootstrap, level, rng
        As in `evaluate`.

    Raises
    ------
    DataError
        If no user has enough answers.
    """
    shots = tuple(sorted({int(s) for s in shots}))
    if not shots or shots[0] < 0 or repeats < 1 or min_held_out < 1:
        raise UsageError(
            f"shots={shots}, repeats={repeats}, min_held_out={min_held_out} are not possible.",
            fix="Numbers of answers are at least 0, repeats and min_held_out at least 1.",
        )
    seed = as_seed(rng)
    settings = Settings(n_bootstrap=n_bootstrap, level=level, seed=seed)
    comparisons, left_out = _unseen(model, drop_weightless(comparisons), shots[-1] + min_held_out)
    parts: dict[object, list[np.ndarray]] = {s: [] for s in shots}
    has_control = getattr(model, "control_", None) is not None
    parts |= {"control": []} if has_control else {}
    kept: list[np.ndarray] = []
    for repeat in range(repeats):
        rank = _ranks(comparisons, np.random.default_rng([seed, 2, repeat]))
        held_out = np.flatnonzero(rank >= shots[-1])
        held_out = held_out[~_pair_seen(comparisons, rank < shots[-1])[held_out]]
        scored = comparisons.take(held_out)
        kept.append(held_out)
        for s in shots:
            membership = model.adapt(comparisons.take(rank < s))
            parts[s].append(predictions(model, scored, membership))
        if has_control:
            parts["control"].append(predictions(model.control_, scored, None))
    rows = np.concatenate(kept)
    if len(rows) == 0:
        raise DataError(
            "No answers are left to score: every held-out pair is also among the first answers.",
            fix="Pass data with more distinct pairs a user, or smaller shots.",
        )
    paired = paired_scores(
        {key: np.concatenate(values) for key, values in parts.items()},
        comparisons.outcome[rows],
        comparisons.weight[rows],
        comparisons.user[rows],
        settings,
    )
    return FewShotCurve(
        shots=shots,
        accuracy=np.array([paired.value("accuracy", s) for s in shots]),
        nll=np.array([paired.value("nll", s) for s in shots]),
        accuracy_interval=np.array([paired.interval("accuracy", s) for s in shots]),
        nll_interval=np.array([paired.interval("nll", s) for s in shots]),
        nll_gain=np.array([paired.difference("nll", s, shots[0]) for s in shots]),
        control_accuracy=paired.value("accuracy", "control") if has_control else np.nan,
        control_nll=paired.value("nll", "control") if has_control else np.nan,
        users=comparisons.n_users,
        users_left_out=left_out,
        n=len(rows),
        repeats=repeats,
        level=level,
    )


def _unseen(model: PreferenceModel, comparisons: Comparisons, needed: int) -> tuple[Comparisons, int]:
    """Rows of unseen users with enough of them, and how many users are left out."""
    rows = np.bincount(comparisons.user, minlength=comparisons.n_users)
    unseen = label_codes(comparisons.users, model.users_) < 0
    enough = unseen & (rows >= needed)
    if not enough.any():
        raise DataError(
            f"No unseen user has the {needed} answers that are needed.",
            where=f"{int(unseen.sum())} unseen users, with at most {int(rows[unseen].max(initial=0))} answers",
            fix="Pass smaller shots, or users that the model was not fitted to.",
        )
    return comparisons.take(enough[comparisons.user]).compact(), int(np.sum((rows > 0) & ~enough))


def _ranks(comparisons: Comparisons, rng: np.random.Generator) -> Int[np.ndarray, " pairs"]:
    """Position of each row in a random order of its user's rows."""
    order = np.lexsort((rng.random(len(comparisons)), comparisons.user))
    starts = np.searchsorted(comparisons.user[order], np.arange(comparisons.n_users))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - starts[comparisons.user[order]]
    return rank


def _pair_seen(comparisons: Comparisons, shown: np.ndarray) -> np.ndarray:
    """Whether the pair of a row is among the rows shown by the same user."""
    pair = user_pairs(comparisons.user, comparisons.left, comparisons.right, comparisons.n_items)
    return np.isin(pair, pair[shown])
