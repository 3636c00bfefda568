"""Judges that nothing was optimised for: raters in two halves, one reward to follow and one to judge by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.evaluation.refitting import aligned_groups, refit
from pluralism.files import atomic_write
from pluralism.models.base import load
from pluralism.random import RNG, as_generator, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.models import PreferenceModel

__all__ = ["HeldOutPair", "agreement", "groups_by_reward", "held_out_pair", "refuse_optimised", "split_raters"]

RECORD = "halves.json"
FEWEST = 2
"""Raters that a group needs, so that each half has one."""


@dataclass(frozen=True, eq=False)
class HeldOutPair:
    """Two fits to different people, with the groups of one model.

    Attributes
    ----------
    optimised, judge : PreferenceModel
        What policies may follow, and what judges them.
    optimised_groups, judge_groups : int array of shape (groups,)
        Which group of either fit is which of the model's.
    optimised_users, judge_users : int
        People behind each.
    agreement : array of shape (groups,)
        Correlation of the two rewards of a group, within prompts, on the items of the data: how far judging by other
        people (and perhaps other features) can agree at all.
    """

    optimised: PreferenceModel
    judge: PreferenceModel
    optimised_groups: Int[np.ndarray, " groups"]
    judge_groups: Int[np.ndarray, " groups"]
    optimised_users: int
    judge_users: int
    agreement: Float[np.ndarray, " groups"]

    def save(self, folder: str | Path) -> Path:
        """Write both models and which of their groups is which; `load` finds them whole or not at all."""
        place = Path(folder)
        self.optimised.save(place / "optimised")
        self.judge.save(place / "judge")
        facts = {
            "optimised": self.optimised.fingerprint_,
            "judge": self.judge.fingerprint_,
            "optimised_groups": self.optimised_groups.tolist(),
            "judge_groups": self.judge_groups.tolist(),
            "optimised_users": self.optimised_users,
            "judge_users": self.judge_users,
            "agreement": json_ready(self.agreement),
        }
        atomic_write(place / RECORD, json.dumps(facts, allow_nan=False, indent=1) + "\n")
        return place

    @classmethod
    def load(cls, folder: str | Path) -> HeldOutPair | None:
        """What `save` wrote; None where there is nothing, or it was not finished.

        Raises
        ------
        ModelFileError
            The folder is damaged.
        """
        place = Path(folder)
        if not (place / RECORD).is_file():
            return None
        try:
            facts = json.loads((place / RECORD).read_bytes())
            models = {name: load(place / name) for name in ("optimised", "judge")}
            if any(model.fingerprint_ != facts[name] for name, model in models.items()):
                return None
            return cls(
                models["optimised"],
                models["judge"],
                np.array(facts["optimised_groups"], dtype=np.int64),
                np.array(facts["judge_groups"], dtype=np.int64),
                int(facts["optimised_users"]),
                int(facts["judge_users"]),
                np.array(facts["agreement"], dtype=np.float64),
            )
        except (ValueError, KeyError, TypeError) as cause:
            raise ModelFileError(
                f"The two halves cannot be read: {cause}.", where=str(place), fix="Remove the folder; it is made again."
            ) from cause


def held_out_pair(
    model: PreferenceModel, data: Comparisons, *, judge_data: Comparisons | None = None, rng: RNG = 0
) -> HeldOutPair:
    """Fit a model anew to one half of its raters, and to the other.

    Parameters
    ----------
    model : PreferenceModel
        Fitted to `data`; the two have its settings and its number of groups, and groups are matched to its by the
        people in them.
    data : Comparisons
        Embedded.
    judge_data : Comparisons, optional
        The same rows with other features, for a judge that reads with other eyes.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If the model has no groups, or a group too few raters for two halves.
    DataError
        If `judge_data` are other rows, or people answer who are none of the model's.
    """
    if model.places != "groups":
        raise UsageError(
            f"A {type(model).__name__} has no groups to be conditioned for.",
            fix="Use a model with groups, such as maxmin.",
        )
    other = data if judge_data is None else judge_data
    if len(other) != len(data) or other.users != data.users or not np.array_equal(other.user, data.user):
        raise DataError("judge_data are not the same judgements.", fix="Only the features of their items may differ.")
    strangers = sorted(set(data.compact().users.to_pylist()) - set(model.users_.to_pylist()))
    if strangers:
        raise DataError(
            f"The model was fitted to other people: it does not know {len(strangers):,} of those who answer here, and "
            "groups are matched by the people in them.",
            where=", ".join(map(repr, strangers[:5])),
            fix="Give the data that the model was fitted to.",
        )
    seed = as_seed(rng)
    judges = split_raters(model, data, rng=seed)
    halves = (data.take(~judges[data.user]).compact(), other.take(judges[other.user]).compact())
    fits = [refit(model, half, seed) for half in halves]
    places = []
    for fit in fits:
        order = np.full(model.n_groups_, -1)
        group_of = aligned_groups(model, fit)
        order[group_of[group_of >= 0]] = np.flatnonzero(group_of >= 0)
        places.append(order)
    return HeldOutPair(
        fits[0],
        fits[1],
        places[0],
        places[1],
        halves[0].n_users,
        halves[1].n_users,
        agreement(fits[0].reward(data.items)[:, places[0]], fits[1].reward(other.items)[:, places[1]], data.items),
    )


def agreement(
    one: Float[np.ndarray, "items groups"], other: Float[np.ndarray, "items groups"], items: Items
) -> Float[np.ndarray, " groups"]:
    """Correlation of two rewards of each group within prompts, where they are identified; NaN where one is flat."""
    a, b = _within_prompts(one, items), _within_prompts(other, items)
    over = np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))
    return np.divide(np.sum(a * b, axis=0), over, out=np.full(a.shape[1], np.nan), where=over > 0)


def split_raters(model: PreferenceModel, data: Comparisons, *, rng: RNG = 0) -> Bool[np.ndarray, " users"]:
    """Who shall judge: half of the raters of each group, drawn at random.

    Raises
    ------
    UsageError
        If a group has fewer than two raters.
    """
    labels = model.membership(data).labels
    rated = np.unique(data.user)
    generator = as_generator(rng, "raters")
    judges = np.zeros(data.n_users, dtype=bool)
    for group in range(model.n_groups_):
        members = generator.permutation(rated[labels == group])
        if len(members) < FEWEST:
            raise UsageError(
                f"Group {group} has {len(members)} rater{'s' * (len(members) != 1)}, who cannot be both followed and "
                "asked to judge.",
                fix="Fit fewer groups, or name a judge of your own.",
            )
        # Odd ones out go to the judges of one group and not of the next.
        judges[members[: (len(members) + group % 2) // 2]] = True
    return judges


def refuse_optimised(judge: Any, optimised: Sequence[Any]) -> None:
    """Refuse a judge that is a model that was optimised for, or was fitted to the same people.

    Parameters
    ----------
    judge : PreferenceModel or TextReward
        Others are believed.
    optimised : sequence of PreferenceModel or TextReward

    Raises
    ------
    DataError
    """
    by = _model_of(judge)
    for one in optimised:
        followed = _model_of(one)
        if not (hasattr(by, "users_") and hasattr(followed, "users_")):
            if by is followed:
                raise _of_itself()
            continue
        if by is followed or by.fingerprint_ == followed.fingerprint_:
            raise _of_itself()
        shared = sorted(set(by.users_.to_pylist()) & set(followed.users_.to_pylist()))
        if shared:
            raise DataError(
                f"The judge was fitted to {len(shared):,} of the people whose answers were optimised for: it would "
                "praise what it was asked for.",
                where=", ".join(map(repr, shared[:5])),
                fix="Judge by other people (held_out_pair splits them in halves); if labels only look alike, rename "
                "them in one file.",
            )


def groups_by_reward(model: PreferenceModel, items: Items, other: PreferenceModel, others: Items) -> np.ndarray:
    """Which group of another model is which of this one's, by their rewards of the same items, one to one.

    Parameters
    ----------
    items, others : Items
        The same items in the same order, with the features that either model reads.

    Returns
    -------
    int array of shape (groups,)

    Raises
    ------
    UsageError
        If the other has fewer groups.
    """
    if other.n_groups_ < model.n_groups_:
        raise UsageError(
            f"The judge knows {other.n_groups_} groups, and there are {model.n_groups_}.",
            fix="Judge by a run with as many groups.",
        )
    mine, theirs = (_within_prompts(m.reward(i), i) for m, i in ((model, items), (other, others)))
    cross = np.nan_to_num(np.corrcoef(mine.T, theirs.T)[: mine.shape[1], mine.shape[1] :])
    return linear_sum_assignment(-cross)[1]


def _within_prompts(rewards: Float[np.ndarray, "items groups"], items: Items) -> Float[np.ndarray, "items groups"]:
    """Rewards less their mean on each prompt: what is identified of them."""
    codes = np.zeros(len(items), dtype=np.int64) if items.prompts is None else items.prompt_codes()
    _, codes = np.unique(codes, return_inverse=True)
    sums = np.zeros((int(codes.max()) + 1, rewards.shape[1]))
    np.add.at(sums, codes, rewards)
    return rewards - (sums / np.bincount(codes)[:, None])[codes]


def _model_of(judge: Any) -> Any:
    scorer = getattr(judge, "scorer", judge)
    return getattr(scorer, "model", scorer)


def _of_itself() -> DataError:
    return DataError(
        "The judge is the model that was optimised for: it would praise what it was asked for.",
        fix="Judge by a model of other people (held_out_pair makes one).",
    )
