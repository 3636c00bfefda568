"""Online against offline preference learning at equal KL, with equally many labels, on finite candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from pluralism.calibration.text import format_table
from pluralism.diagnostics.budget_curve import judged_curve, kl_budget_curve
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.errors import UsageError
from pluralism.figures import FOCUS, INK, group_colour, own_axes, tidy, tidy_legend
from pluralism.policy.kl_optimal import check_beta, weighted_reward
from pluralism.random import RNG, as_generator
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.prompt_bradley_terry import fit_prompt_bradley_terry
from pluralism.solvers.tilt import tilt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["OnlineAgainstOffline", "online_against_offline"]

WAYS = ("online", "offline")


@dataclass(frozen=True, eq=False, repr=False)
class OnlineAgainstOffline(InstrumentResult):
    """What both ways of collecting the same number of labels bring.

    Attributes
    ----------
    kl : array of shape (points,)
        Budgets in nats, mean over prompts.
    judged : array of shape (2, repeats, points)
        Weighted true utility at each budget: online, then offline.
    ideal : array of shape (points,)
        Of the true utilities themselves.
    accuracy : array of shape (2, repeats)
        Share of pairs drawn from the reference that the learnt reward orders as the true one does: how well the
        policies tell responses apart, which need not go with how well they choose.
    n_labels : int
        For each prompt.
    rounds : int
        Of the online way.
    unit : str
    """

    kl: Float[np.ndarray, " points"]
    judged: Float[np.ndarray, "2 repeats points"]
    ideal: Float[np.ndarray, " points"]
    accuracy: Float[np.ndarray, "2 repeats"]
    n_labels: int
    rounds: int
    unit: str

    @property
    def advantage(self) -> Float[np.ndarray, "repeats points"]:
        """Judged utility of the online way less that of the offline way, repeat by repeat."""
        return self.judged[0] - self.judged[1]

    def advantage_interval(
        self, level: float = 0.95
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
        """Interval of the mean advantage over repeats (Student's t), at each budget; NaN of a single repeat."""
        from scipy.stats import t

        if not 0 < level < 1:
            raise UsageError(f"level={level!r} is no coverage.", fix="Pass level=0.95.")
        n = len(self.advantage)
        if n < 2:
            return np.full(len(self.kl), np.nan), np.full(len(self.kl), np.nan)
        half = t.ppf((1 + level) / 2, n - 1) * self.advantage.std(axis=0, ddof=1) / np.sqrt(n)
        mean = self.advantage.mean(axis=0)
        return mean - half, mean + half

    def _columns(self) -> dict[str, Any]:
        low, high = self.advantage_interval()
        return {
            "kl": self.kl,
            "online": self.judged[0].mean(axis=0),
            "offline": self.judged[1].mean(axis=0),
            "ideal": self.ideal,
            "advantage": self.advantage.mean(axis=0),
            "low": low,
            "high": high,
        }

    def to_frame(self) -> pa.Table:
        """One row a budget: means over repeats, and the interval of the advantage."""
        return pa.table(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """The setting, both accuracies, and the rows of `to_frame`."""
        numbers = {"n_labels": self.n_labels, "rounds": self.rounds, "unit": self.unit}
        accuracy = dict(zip(WAYS, self.accuracy.mean(axis=1), strict=True))
        return {**numbers, "accuracy": accuracy, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        online, offline = self.accuracy.mean(axis=1)
        return (
            f"OnlineAgainstOffline({self.n_labels} labels a prompt, {self.rounds} rounds, {self.judged.shape[1]} "
            f"repeats; accuracy on the reference's pairs {online:.3f} online, {offline:.3f} offline)\n"
            f"{format_table(self._columns(), digits=3)}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both curves against KL with the middle nine tenths of the repeats, and the ideal."""
        ax = own_axes(ax, 5.2, 3.3)
        ax.plot(self.kl, self.ideal, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="true utilities")
        for name, values, colour in zip(WAYS, self.judged, (FOCUS, group_colour(1)), strict=True):
            ax.fill_between(self.kl, *np.quantile(values, [0.05, 0.95], axis=0), color=colour, alpha=0.15, linewidth=0)
            ax.plot(self.kl, values.mean(axis=0), color=colour, linewidth=1.5, label=name)
        tidy(ax, grid="both", xlabel="KL from the reference, nats", ylabel=f"true utility ({self.unit})")
        tidy_legend(ax, loc="best")
        return ax


def online_against_offline(
    utilities: Utilities,
    *,
    n_labels: int = 24,
    rounds: int = 6,
    beta: float = 0.5,
    precision: float = 0.1,
    kl: ArrayLike | None = None,
    n_points: int = 12,
    repeats: int = 10,
    rng: RNG = 0,
) -> OnlineAgainstOffline:
    """Compare labels on pairs of the policy in training with labels on pairs of the reference [1]_.

    Offline, all pairs are drawn from the reference at once; online, in rounds, from the policy that the labels so far
    have led to. A pair of two different candidates is labelled by one person, drawn by the groups' shares, who answers
    with the Bradley-Terry probability of the group's utilities. Both ways fit the same regularised rewards to their
    labels, which is DPO for a softmax over candidates, and spend the same KL on them.

    Parameters
    ----------
    utilities : Utilities
        The truth, in logits: in the unit "raw", "gain" or "regret".
    n_labels : int
        For each prompt.
    rounds : int
        Of the online way, at most `n_labels`.
    beta : float
        Price of a nat of KL for the policies that pairs are drawn from, above 0.
    precision : float
        Of the prior of rewards, above 0.
    kl, n_points
        Budgets at which both are compared, as in `kl_budget_curve`.
    repeats : int
        Of the whole experiment.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If utilities are no logits or never differ, a prompt has a single candidate, or a setting cannot work.

    References
    ----------
    .. [1] Y. Tang et al., "Understanding the performance gap between online and offline alignment algorithms",
       arXiv:2405.08448.
    """
    beta = check_beta(beta, positive=True)
    if utilities.unit not in ("raw", "gain", "regret"):
        raise UsageError(f"Utilities in the unit {utilities.unit!r} are no logits.", fix="Use the unit 'gain'.")
    if not 1 <= rounds <= n_labels or repeats < 1:
        raise UsageError("There are more rounds than labels, or no repeat.", fix="rounds <= n_labels, repeats >= 1.")
    if (utilities.mask.sum(axis=1) < 2).any():
        raise UsageError("A prompt has a single candidate.", fix="Give prompts with several candidates.")
    worth = weighted_reward(utilities, None)
    best, worst = (np.where(utilities.mask, worth, end) for end in (-np.inf, np.inf))
    if not utilities.prompt_weights @ (best.max(axis=1) > worst.min(axis=1)) > 0:
        raise UsageError("All candidates of each prompt are worth the same.", fix="Give utilities that differ.")
    generator = as_generator(rng, "online against offline")
    logs = utilities.log_reference
    (ideal,) = kl_budget_curve({}, utilities, kl=kl, n_points=n_points).curves.values()
    budgets = ideal.kl if kl is None else np.asarray(kl, dtype=np.float64)
    judged, accuracy = [], []
    for _ in range(repeats):
        offline = fit_prompt_bradley_terry(_labels(utilities, logs, n_labels, generator), precision=precision)
        wins, policy = np.zeros((*logs.shape, logs.shape[1])), logs
        for share in np.array_split(np.arange(n_labels), rounds):
            wins += _labels(utilities, policy, len(share), generator)
            online = fit_prompt_bradley_terry(wins, precision=precision)
            policy = tilt(online, logs, beta)[0]
        judged.append([judged_curve(reward, utilities, budgets).judged for reward in (online, offline)])
        accuracy.append([_accuracy(utilities, reward) for reward in (online, offline)])
    return OnlineAgainstOffline(
        kl=budgets,
        judged=np.array(judged).transpose(1, 0, 2),
        ideal=ideal.judged,
        accuracy=np.array(accuracy).T,
        n_labels=n_labels,
        rounds=rounds,
        unit=utilities.unit,
    )


def _labels(
    utilities: Utilities, log_policy: Float[np.ndarray, "prompts candidates"], n: int, rng: np.random.Generator
) -> Float[np.ndarray, "prompts candidates candidates"]:
    """Counts of wins in n labelled pairs of different candidates for each prompt."""
    rows, width = np.arange(len(log_policy)), log_policy.shape[1]
    wins = np.zeros((len(log_policy), width, width))
    for _ in range(n):
        # The two largest of log-probabilities with Gumbel noise are a draw of two without replacement.
        noisy = log_policy + rng.gumbel(size=log_policy.shape)
        a, b = np.argsort(-noisy, axis=1)[:, :2].T
        group = rng.choice(utilities.n_groups, size=len(rows), p=utilities.shares)
        margin = utilities.values[rows, a, group] - utilities.values[rows, b, group]
        won = rng.random(len(rows)) < expit(margin)
        np.add.at(wins, (rows, np.where(won, a, b), np.where(won, b, a)), 1.0)
    return wins


def _accuracy(utilities: Utilities, reward: Float[np.ndarray, "prompts candidates"]) -> float:
    """Chance that a pair drawn from the reference is ordered as by the weighted utility; ties half, equal pairs out."""
    p, truth = np.exp(utilities.log_reference), utilities.values @ utilities.shares
    signs = np.sign(truth[:, :, None] - truth[:, None]), np.sign(reward[:, :, None] - reward[:, None])
    mass = utilities.prompt_weights[:, None, None] * p[:, :, None] * p[:, None] * (signs[0] != 0)
    return float(np.sum(mass * 0.5 * (1 + signs[0] * signs[1])) / mass.sum())
