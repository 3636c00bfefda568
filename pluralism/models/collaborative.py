"""Collaborative reward modelling: two heads that filter noise for each other, with a report of whom they filter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float, Int
from scipy.special import xlogy

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.models.base import Callback
from pluralism.models.bradley_terry import BradleyTerry
from pluralism.models.fitting import Memory, check_settings, choose_terms, learn, run_fit
from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.members import warn_once, with_columns
from pluralism.models.pooled_control import pooled_control
from pluralism.models.preparation import prepare
from pluralism.models.rejection import RejectionReport, audit
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import require_state
from pluralism.random import RNG, as_seed
from pluralism.solvers import Terms, suitable_threads

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.data.folds import FoldBy

__all__ = ["CollaborativeReward"]

SETTLED = 2e-3
"""Filters stop once less than this share of the judgements changes; two heads may also go round in circles."""

EM_SETTLED = 1e-4
EM_ROUNDS = 300


class CollaborativeReward(LinearPreferenceModel):
    r"""One reward for everybody, learnt from the judgements that two heads do not take for noise.

    Each head sees its own part of the features. In every round each ranks the judgements by its own loss, and its peer
    is fitted to the share of lowest loss, 1 - flip_rate min(round / warm_up, 1) (co-teaching [1]_ [2]_). The final
    reward is fitted on all features, with each judgement weighed by how many of the two heads kept it.

    Who disagrees with the majority has a high loss: filtering takes minorities for noise. `rejection_` says who loses
    what, always, and a `DataWarning` names groups, or counts people, who lose far more. `method="corrected"`
    is the alternative with no ranking and no threshold: a likelihood in which every judgement may have been flipped. It
    predicts better, and it too explains a minority as flips: no method that knows one reward can do otherwise.

    Parameters
    ----------
    flip_rate : float
        Share of judgements taken to be flipped, in [0, 0.5). Not estimated: the share of noise cannot be told from
        disagreement, nor from a smaller scale of the reward.
    method : {"peer", "self", "corrected"}
        Each head selects for the other, or for itself; or the likelihood (1 - flip_rate) p + flip_rate (1 - p), by EM.
    within : {"all", "user", "group"}
        Whose judgements are ranked together. "user" and "group" take the same share of every person or known group, so
        that none loses more than others.
    feature_share : float
        Share of the feature columns that each head sees, in (0, 1]; up to 1/2 the heads share none.
    feature_blocks : tuple of two int, optional
        Widths of the columns of two encoders, one for each head, instead of random columns.
    n_rounds, warm_up : int
        Of the filters: most rounds, and those until the full share is dropped. Rounds end once the selection stays as
        it is, up to 0.2 % of the judgements. The likelihood of "corrected" is maximised to convergence.
    ridge, item_effects, covariates, position_bias, ties, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`, for both heads and for the final reward.

    Attributes
    ----------
    rejection_ : RejectionReport
        Share of judgements taken for noise: overall, in each known group, of each person. For "corrected" the mean
        probability of having been flipped.
    selection_change_ : float
        Mean change of what is kept in the last round.

    References
    ----------
    .. [1] B. Han et al., "Co-teaching: robust training of deep neural networks with extremely noisy labels", 2018.
    .. [2] J. Zhang et al., "Two minds better than one: collaborative reward modeling for LLM alignment",
       arXiv:2505.10597.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=4, noise=0.2, rng=0).comparisons
    >>> model = CollaborativeReward(flip_rate=0.1, ridge=1.0, item_effects=False).fit(data)
    >>> round(model.rejection_.overall, 3)
    0.1
    """

    requires_features: ClassVar[bool] = True
    spec = replace(SPEC, numbers=(*SPEC.numbers, "selection_change_"), counts=(*SPEC.counts, "n_rounds_"))

    rejection_: RejectionReport

    def __init__(
        self,
        *,
        flip_rate: float = 0.2,
        method: Literal["peer", "self", "corrected"] = "peer",
        within: Literal["all", "user", "group"] = "all",
        feature_share: float = 0.5,
        feature_blocks: tuple[int, int] | None = None,
        n_rounds: int = 20,
        warm_up: int = 5,
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        ties: Literal["half", "davidson"] = "half",
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.flip_rate = flip_rate
        self.method = method
        self.within = within
        self.feature_share = feature_share
        self.feature_blocks = feature_blocks
        self.n_rounds = n_rounds
        self.warm_up = warm_up
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.ties = ties
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.uncertainty = uncertainty
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons; parameters as in `BradleyTerry.fit`."""
        self._forget()
        check_settings(self)
        self._check_own_settings()
        given = prepare(comparisons, self.covariates, position_bias=self.position_bias)
        if comparisons.items.features is None:
            raise DataError(
                "The items have no features, and the two heads differ by the features they see.",
                fix="Call .embed(encoder) first; BradleyTerry takes items without features.",
            )
        if self.within == "group" and comparisons.group is None:
            raise DataError('within="group" needs a group for each row.', fix='Pass within="user", or groups.')
        seed = as_seed(self.rng)
        with warn_once():
            if self.method == "corrected":
                kept, outcome = self._correct(comparisons, seed)
                cleaned = comparisons._replace(outcome=outcome)
            else:
                kept = self._select(comparisons, seed)
                cleaned = comparisons._replace(weight=comparisons.weight * kept)
            prepared = prepare(cleaned, self.covariates, position_bias=self.position_bias)
            memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}", prepared, callback)
            # what a filter keeps is easier than what people say, so a prior chosen on it would hardly be one
            chosen_on = prepared if self.method == "corrected" else given
            with suitable_threads(prepared.problem):
                plan = choose_terms(self, chosen_on, Terms(ties=self.ties == "davidson"), 1, memory, seed)
                learn(self, prepared, plan, run_fit(self, prepared, plan.terms, 1, memory, seed))
        self.n_answers_ = given.n
        self.rejection_ = audit(comparisons, 1.0 - kept)
        self._warn()
        return self

    def _select(self, comparisons: Comparisons, seed: int) -> Float[np.ndarray, " pairs"]:
        """How much of each row the two heads keep, on average, once they have settled."""
        columns = self._views(comparisons, seed)
        blocks = self._blocks(comparisons)
        kept = np.ones((2, len(comparisons)))
        heads = [self._head(seed), self._head(seed)]
        for number in range(1, self.n_rounds + 1):
            losses = np.empty_like(kept)
            for k, head in enumerate(heads):
                items = with_columns(comparisons.items, columns[k])
                head.fit(comparisons._replace(items=items, weight=comparisons.weight * kept[k]))
                losses[k] = excess_loss(head.predict_proba(comparisons._replace(items=items)), comparisons.outcome)
            share = 1.0 - self.flip_rate * min(number / self.warm_up, 1.0)
            chosen = np.stack([keep_low(loss, comparisons.weight, share, blocks) for loss in losses])
            new = chosen[::-1] if self.method == "peer" else chosen
            self.selection_change_ = float(np.average(np.abs(new - kept).mean(axis=0), weights=comparisons.weight))
            self.n_rounds_, kept = number, new
            heads = [self._head(seed, head) for head in heads]
            if number > self.warm_up and self.selection_change_ <= SETTLED:
                break
        return kept.mean(axis=0)

    def _correct(
        self, comparisons: Comparisons, seed: int
    ) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
        """EM: the probability that each judgement is as it was meant, and the outcome that is expected behind it."""
        kept, outcome = np.ones(len(comparisons)), comparisons.outcome
        head = self._head(seed)
        for number in range(1, EM_ROUNDS + 1):
            head.fit(comparisons._replace(outcome=outcome))
            p = np.clip(head.predict_proba(comparisons), 1e-12, 1 - 1e-12)
            meant = np.exp(xlogy(comparisons.outcome, p) + xlogy(1 - comparisons.outcome, 1 - p))
            flipped = np.exp(xlogy(1 - comparisons.outcome, p) + xlogy(comparisons.outcome, 1 - p))
            new = (1 - self.flip_rate) * meant / ((1 - self.flip_rate) * meant + self.flip_rate * flipped)
            self.selection_change_ = float(np.average(np.abs(new - kept), weights=comparisons.weight))
            self.n_rounds_, kept = number, new
            outcome = kept * comparisons.outcome + (1 - kept) * (1 - comparisons.outcome)
            head = self._head(seed, head)
            if self.selection_change_ <= EM_SETTLED:
                break
        return kept, outcome

    def _head(self, seed: int, chosen: BradleyTerry | None = None) -> BradleyTerry:
        """An unfitted head; its ridge and item effects are those of an earlier round, where there was one."""
        ridge, effects = self.ridge, self.item_effects
        if chosen is not None:
            ridge = float(chosen.ridge_)
            effects = False if chosen.item_precision_ is None else float(chosen.item_precision_)
        return pooled_control(self, ridge=ridge, item_effects=effects, uncertainty=False, rng=seed)

    def _views(self, comparisons: Comparisons, seed: int) -> list[Int[np.ndarray, " columns"]]:
        """The feature columns of each head."""
        dim = int(comparisons.dim or 0)
        if self.feature_blocks is not None:
            first, second = self.feature_blocks
            if first + second != dim:
                raise UsageError(
                    f"feature_blocks={self.feature_blocks!r} add up to {first + second}; the items have {dim} columns.",
                    fix="Give the width of each encoder's block of columns.",
                )
            return [np.arange(first, dtype=np.int64), np.arange(first, dim, dtype=np.int64)]
        order = np.random.default_rng([seed, 6]).permutation(dim).astype(np.int64)
        size = max(1, int(np.ceil(self.feature_share * dim)))
        return [np.sort(order[:size]), np.sort(order[-size:])]

    def _blocks(self, comparisons: Comparisons) -> Int[np.ndarray, " pairs"]:
        """Which rows are ranked together."""
        if self.within == "user":
            return comparisons.user.astype(np.int64)
        if self.within == "group" and comparisons.group is not None:
            # rows of no known group are one more
            return comparisons.group.astype(np.int64) + 1
        return np.zeros(len(comparisons), dtype=np.int64)

    def _warn(self) -> None:
        groups, people = self.rejection_.singled_out_groups, self.rejection_.singled_out_users
        if not groups and not people:
            return
        who = f"the group(s) {', '.join(groups)}" if groups else f"{len(people)} people"
        warnings.warn(
            f"Far more of what {who} said is taken for noise than of what others said: a minority may be filtered out. "
            'See rejection_. Fit MixtureBradleyTerry to look for groups, or pass within="user" for equal shares.',
            DataWarning,
            stacklevel=3,
        )

    def _check_own_settings(self) -> None:
        if not (is_number(self.flip_rate) and 0 <= self.flip_rate < 0.5):
            refuse(self, "flip_rate", "a share in [0, 0.5)")
        if self.method not in ("peer", "self", "corrected"):
            refuse(self, "method", '"peer", "self" or "corrected"')
        if self.within not in ("all", "user", "group"):
            refuse(self, "within", '"all", "user" or "group"')
        if self.within != "all" and self.method == "corrected":
            refuse(self, "within", '"all" where method="corrected", which ranks nothing')
        if not (is_number(self.feature_share) and 0 < self.feature_share <= 1):
            refuse(self, "feature_share", "a share in (0, 1]")
        for name in ("n_rounds", "warm_up"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "an integer of at least 1")
        widths = self.feature_blocks
        if widths is not None and (len(widths) != 2 or not all(isinstance(w, int) and w >= 1 for w in widths)):
            refuse(self, "feature_blocks", "None, or two widths, such as (384, 768)")

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document, arrays = super()._state()
        return document | {"rejection_": json_ready(self.rejection_.to_dict())}, arrays

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        self.rejection_ = RejectionReport.from_dict(document["rejection_"])
        known = len(self.rejection_.users) == int(np.sum(self.n_answers_ > 0))
        require_state(known, "the rejection report is of other users")


def excess_loss(p: Float[np.ndarray, " pairs"], y: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    """Log loss beyond that of the best prediction of each row, so that a tie that is predicted costs nothing."""
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return xlogy(y, y) + xlogy(1 - y, 1 - y) - xlogy(y, q) - xlogy(1 - y, 1 - q)


def keep_low(
    loss: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    share: float,
    blocks: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """How much of each row is kept if in each block the given share of the weight, that of lowest loss, is.

    Rows of one loss are kept to the same part, so that two copies of a row count as one of twice the weight.
    """
    order = np.lexsort((loss, blocks))
    sorted_loss, sorted_block, sorted_weight = loss[order], blocks[order], weight[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_loss[1:] != sorted_loss[:-1]) | (sorted_block[1:] != sorted_block[:-1])
    run = np.cumsum(new) - 1
    amount = np.bincount(run, sorted_weight)
    block_of_run = sorted_block[new]
    first = np.ones(len(amount), dtype=bool)
    first[1:] = block_of_run[1:] != block_of_run[:-1]
    place = np.cumsum(first) - 1
    total = np.bincount(place, amount)
    before = np.cumsum(amount) - amount
    before -= before[first][place]
    room = share * total[place] - before
    part = np.clip(np.divide(room, amount, out=(room > 0).astype(float), where=amount > 0), 0.0, 1.0)
    kept = np.empty(len(order))
    kept[order] = part[run]
    return kept
