"""Idealised ranking accuracy: what DPO could reach at its optimum, for each group alone and for one policy for all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.special import logit

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.pair_log_probs import PairLogProbs
from pluralism.diagnostics.rows import ALL
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, INK, POOLED, group_colour, own_axes, tidy, tidy_legend
from pluralism.policy.kl_optimal import check_beta

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["IdealisedRanking", "idealised_ranking_accuracy"]

Groups = Float[np.ndarray, " groups"]
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class IdealisedRanking(InstrumentResult):
    """Shares of pairs ranked as the people want: of all people together, under "all", and of each group.

    Attributes
    ----------
    groups : tuple of str
    pairs : int array of shape (groups,)
        Pairs on which the group prefers one of the two.
    reference : array of shape (groups,)
        Accuracy of the reference policy.
    idealised : array of shape (groups,)
        Accuracy of the optimal policy for this group alone.
    shared : array of shape (groups,)
        Accuracy, for this group, of the optimal policy for all people together.
    observed : array of shape (groups,)
        Accuracy of the trained policy; NaN where none was given.
    contested : int
        Pairs of which some groups prefer the one response and some the other: no policy ranks them right for all.
    ceiling : float
        The largest mean accuracy over people, each group counting by its share, that a single ranking of each pair can
        have.
    n_pairs : int
    beta : float
    """

    groups: tuple[str, ...]
    pairs: Int[np.ndarray, " groups"]
    reference: Groups
    idealised: Groups
    shared: Groups
    observed: Groups
    contested: int
    ceiling: float
    n_pairs: int
    beta: float

    @property
    def alignment_gap(self) -> Groups:
        """Idealised less observed accuracy."""
        return self.idealised - self.observed

    def _columns(self) -> dict[str, Any]:
        names = ("pairs", "reference", "idealised", "shared", "observed", "alignment_gap")
        return {"group": list(self.groups), **{name: getattr(self, name) for name in names}}

    def to_frame(self) -> pa.Table:
        """One row for all people, and one for each group."""
        return pa.table(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`, and the numbers of all pairs."""
        whole = {name: getattr(self, name) for name in ("beta", "n_pairs", "contested", "ceiling")}
        return {**whole, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        columns = {name.replace("_", " "): values for name, values in self._columns().items()}
        return (
            f"IdealisedRanking(beta={self.beta:g})\n{format_table(columns, digits=3)}\n"
            f"{self.contested:,} of {self.n_pairs:,} pairs cannot be ranked right for all groups; "
            f"no single ranking is right for more than {self.ceiling:.3f} of the people"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw, for each group, what the reference, the trained policy and both optima reach."""
        ax = own_axes(ax, 5.4, 1.3 + 0.42 * len(self.groups))
        places = np.arange(len(self.groups))
        ax.axvline(0.5, color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
        shown = (
            ("reference", "D", POOLED),
            ("observed", "o", FOCUS),
            ("shared", "s", group_colour(2)),
            ("idealised", "^", group_colour(1)),
        )
        for name, marker, colour in shown:
            values = getattr(self, name)
            if not np.isnan(values).all():
                ax.plot(values, places, marker, color=colour, markersize=6, markeredgewidth=0, label=name)
        ax.set_yticks(places, [name.replace("$", r"\$") for name in self.groups])
        ax.set_ylim(len(places) - 0.5, -0.5)
        tidy(ax, grid="x", xlabel="share of pairs ranked as the group wants")
        tidy_legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def idealised_ranking_accuracy(
    reference: PairLogProbs,
    agreement: ArrayLike,
    *,
    beta: float,
    policy: PairLogProbs | None = None,
    shares: ArrayLike | None = None,
    group_names: Sequence[Hashable] | None = None,
    clip: float = 1e-3,
) -> IdealisedRanking:
    r"""Accuracy at the optimum of DPO's objective, if everybody's answers were known [1]_.

    The optimal policy ranks the chosen response first if and only if
    :math:`\log p(y_w) - \log p(y_l) + \mathrm{logit}(\alpha) / \beta > 0`, where p is the reference and
    :math:`\alpha` the share of the people who prefer :math:`y_w`.

    Parameters
    ----------
    reference : PairLogProbs
        Of the policy that training starts from.
    agreement : array of shape (pairs,) or (pairs, groups)
        Share of the people, or of each group, who prefer the chosen response, in [0, 1]. Of one axis, ranking the
        chosen response first is right, whatever the share. With groups, right is what most of the group prefer; a
        group has no say where it is split evenly or NaN (it has not judged the pair).
    beta : float
        Strength of the KL penalty, above 0.
    policy : PairLogProbs, optional
        Of the trained policy, for its alignment gap.
    shares : array of shape (groups,), optional
        How large the groups are; left out, equally large.
    group_names : sequence, optional
    clip : float
        Shares are kept this far from 0 and 1, where the optimum would ignore the reference.

    Raises
    ------
    DataError
        If shares are not in [0, 1], arrays do not fit each other, or no group has judged a pair.
    UsageError
        If beta or clip is not possible.

    References
    ----------
    .. [1] A. Chen et al., "Preference learning algorithms do not learn preference rankings", NeurIPS 2024,
       arXiv:2405.19534. Groups are not of the paper.

    Examples
    --------
    >>> start = PairLogProbs([-10.0, -10.0], [-12.0, -4.0])
    >>> found = idealised_ranking_accuracy(start, [[0.9, 0.8], [0.9, 0.2]], beta=0.5, group_names=["a", "b"])
    >>> found.idealised, found.contested
    (array([0.5, 0.5, 1. ]), 1)
    """
    beta = check_beta(beta, positive=True)
    alphas, names = _agreement(agreement, len(reference), clip, group_names)
    if policy is not None and len(policy) != len(reference):
        raise DataError("policy and reference have different pairs.", fix="Score the same pairs by both.")
    several = np.ndim(agreement) == 2
    weight = _shares(shares, alphas.shape[1])
    said = ~np.isnan(alphas)
    voices = said * weight
    present = voices.sum(axis=1)
    if (present == 0).any():
        raise DataError(
            "A pair has no group that judged it.", where=f"pair {int(np.argmin(present)) + 1}", fix="Leave it out."
        )
    together = np.sum(np.where(said, alphas, 0.0) * voices, axis=1) / present
    # People who are split evenly stay so when their shares are added up.
    together = np.where(np.abs(together - 0.5) < ROUNDING, 0.5, together)
    columns = np.column_stack([together, alphas]) if several else together[:, None]
    wanted = np.sign(np.nan_to_num(columns - 0.5)) if several else np.ones_like(columns)
    bounded = np.clip(columns, clip, 1 - clip)
    optimum = reference.margin[:, None] + logit(bounded) / beta
    counted = wanted != 0
    ours = wanted[:, 1:] if several else wanted
    contested = (ours > 0).any(axis=1) & (ours < 0).any(axis=1)
    sides = np.stack([np.sum(voices * (ours == side), axis=1) for side in (1, -1)])
    decided = sides.sum(axis=0)

    def accuracy(margin: Float[np.ndarray, "pairs _"]) -> Groups:
        right = np.sum(counted & (np.sign(margin) == wanted), axis=0)
        return np.divide(right, counted.sum(axis=0), out=np.full(len(right), np.nan), where=counted.any(axis=0))

    return IdealisedRanking(
        groups=(ALL, *names) if several else (ALL,),
        pairs=counted.sum(axis=0),
        reference=accuracy(reference.margin[:, None]),
        idealised=accuracy(optimum),
        shared=accuracy(optimum[:, :1]),
        observed=np.full(columns.shape[1], np.nan) if policy is None else accuracy(policy.margin[:, None]),
        contested=int(contested.sum()),
        ceiling=float(sides.max(axis=0).sum() / decided.sum()) if decided.any() else float("nan"),
        n_pairs=len(reference),
        beta=beta,
    )


def _agreement(
    agreement: ArrayLike, n: int, clip: float, names: Sequence[Hashable] | None
) -> tuple[Float[np.ndarray, "pairs groups"], tuple[str, ...]]:
    """Shares of shape (pairs, groups), and the groups' names."""
    if not 0 < clip < 0.5:
        raise UsageError(f"clip={clip!r} is not possible.", fix="It lies strictly between 0 and 0.5.")
    given = np.asarray(agreement, dtype=np.float64)
    if given.ndim not in (1, 2) or len(given) != n or given.size == 0:
        raise DataError(
            f"agreement has shape {given.shape}, and there are {n:,} pairs.", fix="Give (pairs,) or (pairs, groups)."
        )
    alphas = given.reshape(n, -1)
    outside = (alphas < 0) | (alphas > 1) | (np.isnan(alphas) if given.ndim == 1 else False)
    if outside.any():
        row = int(np.argwhere(outside)[0, 0])
        raise DataError("A share is not in [0, 1].", where=f"pair {row + 1}", fix="Give shares, not counts.")
    labels = tuple(str(name) for name in (range(alphas.shape[1]) if names is None else names))
    if len(set(labels)) != alphas.shape[1] or ALL in labels:
        raise DataError(
            f"group_names are {alphas.shape[1]} distinct names other than {ALL!r}.", fix="Give one for each group."
        )
    return alphas, labels


def _shares(shares: ArrayLike | None, n: int) -> Groups:
    weight = np.ones(n) if shares is None else np.asarray(shares, dtype=np.float64)
    if weight.shape != (n,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise DataError(f"shares are {n} numbers of at least 0, not all 0.", fix="Give one for each group.")
    return weight / weight.sum()
