"""Length and KL report: how much longer answers become, how far from the reference, and what reward follows length."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_numbers, splits
from pluralism.errors import DataError, UsageError
from pluralism.figures import FONT_SIZE, INK, group_colour, group_marker, own_axes, tidy
from pluralism.policy.lm.sampled_kl import monte_carlo_kl
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy.lm import LanguageModel

__all__ = ["LengthAndKL", "length_and_kl", "length_and_kl_of_models"]

Conditions = Float[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False, repr=False)
class LengthAndKL(InstrumentResult):
    """Answers of all conditions, under "all", and of each.

    Attributes
    ----------
    conditions : tuple of str
    answers : int array of shape (conditions,)
    length, length_sd : array of shape (conditions,)
        Tokens of an answer.
    length_ratio : array of shape (conditions,)
        Mean length over that of the reference's answers; NaN where those were not given.
    kl, kl_error : array of shape (conditions,)
        Of the policy from the reference over whole answers, in nats, with its standard error over prompts (NaN for a
        single one); answers to one prompt under several conditions are not independent of each other.
    kl_per_token : array of shape (conditions,)
    reward : array of shape (conditions,)
        Mean; NaN where rewards were not given.
    length_reward : array of shape (conditions,)
        Spearman's correlation of length and reward; NaN without rewards, or where one of the two does not vary.
    """

    conditions: tuple[str, ...]
    answers: Int[np.ndarray, " conditions"]
    length: Conditions
    length_sd: Conditions
    length_ratio: Conditions
    kl: Conditions
    kl_error: Conditions
    kl_per_token: Conditions
    reward: Conditions
    length_reward: Conditions

    def _columns(self) -> dict[str, Any]:
        names = ("answers", "length", "length_sd", "length_ratio", "kl", "kl_error", "kl_per_token", "reward")
        return {"condition": list(self.conditions), **{name: getattr(self, name) for name in (*names, "length_reward")}}

    def to_frame(self) -> pa.Table:
        """One row for all answers and one for each condition."""
        return pa.table(self._columns())

    def __repr__(self) -> str:
        columns = {name.replace("_", " "): values for name, values in self._columns().items()}
        return f"LengthAndKL\n{format_table(columns, digits=3)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the conditions by mean length and KL, with two standard errors of KL."""
        ax = own_axes(ax, 5.0, 3.4)
        rows = range(1, len(self.conditions)) if len(self.conditions) > 1 else range(1)
        for i, k in enumerate(rows):
            colour = group_colour(i)
            if not np.isnan(self.kl_error[k]):
                reach = 2 * self.kl_error[k]
                ax.vlines(self.length[k], self.kl[k] - reach, self.kl[k] + reach, colors=colour, alpha=0.5)
            ax.plot(self.length[k], self.kl[k], group_marker(i), color=colour, markersize=6)
            ax.annotate(
                self.conditions[k].replace("$", r"\$"),
                (self.length[k], self.kl[k]),
                xytext=(6, 4),
                textcoords="offset points",
                fontsize=FONT_SIZE - 1,
                color=INK,
            )
        ax.margins(0.15)
        tidy(ax, grid="both", xlabel="tokens of an answer", ylabel="KL from the reference, nats")
        return ax


def length_and_kl(
    log_policy: ArrayLike,
    log_reference: ArrayLike,
    n_tokens: ArrayLike,
    prompt: ArrayLike,
    *,
    conditions: Sequence[Hashable] | None = None,
    reference_tokens: ArrayLike | None = None,
    rewards: ArrayLike | None = None,
) -> LengthAndKL:
    r"""Report lengths and KL of answers, which move together, and whether the reward is one of length [1]_.

    Parameters
    ----------
    log_policy, log_reference : array of shape (answers,)
        Log-probabilities of each answer under the policy that gave it and under the reference, in nats. Answers are
        draws of the policy at temperature 1 that are not cut off in their tail (`monte_carlo_kl`).
    n_tokens : int array of shape (answers,)
        At least 1.
    prompt : int array of shape (answers,)
        Which prompt each answers.
    conditions : sequence, optional
        The policy, or group, that each answer belongs to.
    reference_tokens : array, optional
        Lengths of the reference's own answers to the same prompts.
    rewards : array of shape (answers,), optional

    Raises
    ------
    DataError
        If the arrays do not fit each other or are not finite, or an answer has no token.

    References
    ----------
    .. [1] K. Ahrabian et al., "The hitchhiker's guide to human alignment with \*PO", arXiv:2407.15229.

    Examples
    --------
    >>> found = length_and_kl([-2.0, -4.0], [-3.0, -6.0], [2, 4], [0, 1], reference_tokens=[2, 2])
    >>> found.kl, found.length_ratio
    (array([1.5]), array([1.5]))
    """
    policy = as_numbers(log_policy, "log_policy")
    shape = policy.shape
    base, tokens = as_numbers(log_reference, "log_reference", shape), as_numbers(n_tokens, "n_tokens", shape)
    codes = np.asarray(prompt)
    reward = None if rewards is None else as_numbers(rewards, "rewards", shape)
    usual = float("nan")
    if reference_tokens is not None:
        lengths = as_numbers(reference_tokens, "reference_tokens")
        if not lengths.size or lengths.min() < 1:
            raise DataError("An answer of the reference has no token, or there is none.", fix="Give lengths from 1.")
        usual = float(lengths.mean())
    if codes.shape != shape:
        raise DataError("prompt does not fit the answers.", fix="Give the number of the prompt of each.")
    rows = splits(conditions, len(policy))
    # A prompt of two conditions counts once for each.
    labels = [""] * len(policy) if conditions is None else [str(condition) for condition in conditions]
    pairs = np.unique([codes.astype(str), np.array(labels)], axis=1, return_inverse=True)[1]
    found = [
        monte_carlo_kl(policy[here], base[here], np.unique(pairs[here], return_inverse=True)[1], tokens[here])
        for here in rows.values()
    ]
    length = np.array([tokens[here].mean() for here in rows.values()])
    return LengthAndKL(
        conditions=tuple(rows),
        answers=np.array([int(here.sum()) for here in rows.values()]),
        length=length,
        length_sd=np.array([tokens[here].std() for here in rows.values()]),
        length_ratio=length / usual,
        kl=np.array([each.value for each in found]),
        kl_error=np.array([_error((policy - base)[here], pairs[here], codes[here]) for here in rows.values()]),
        kl_per_token=np.array([each.per_token for each in found]),
        reward=np.array([np.nan if reward is None else reward[here].mean() for here in rows.values()]),
        length_reward=np.array(
            [np.nan if reward is None else _rank_correlation(tokens[here], reward[here]) for here in rows.values()]
        ),
    )


def length_and_kl_of_models(
    policies: Mapping[str, LanguageModel],
    reference: LanguageModel,
    prompts: Sequence[str],
    *,
    systems: Mapping[str, str | None] | None = None,
    n: int = 4,
    max_tokens: int = 128,
    reward: Callable[[Sequence[str], Sequence[str]], np.ndarray] | None = None,
    rng: RNG = 0,
) -> LengthAndKL:
    """Draw answers of several policies, and report them by policy.

    Parameters
    ----------
    policies : mapping of str to LanguageModel
        One for each condition; the same model may stand for several that differ in their system message.
    reference : LanguageModel
        Of the same tokens. It is shown no system message, as the policy before conditioning.
    prompts : sequence of str
        The same for all.
    systems : mapping of str to str or None, optional
        System messages of conditions.
    n : int
        Answers of each policy to each prompt; the reference gives as many.
    max_tokens : int
        Of an answer, its end included; what is cut off there is compared as far as it goes.
    reward : callable, optional
        From prompts and responses to one reward each, such as a `TextReward`.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If there is no policy, or a system message of none.
    DataError
        If there is not one reward for each answer, or an answer that the reference cannot give.
    """
    if not policies or not set(systems or {}) <= set(policies):
        raise UsageError("There is no policy, or a system message of none.", fix="Name policies, and systems by them.")
    seed = as_seed(rng)
    usual = reference.generate(prompts, n=n, max_tokens=max_tokens, rng=seed)
    asked = [reference.prompt_tokens(prompt) for prompt in prompts]
    parts: list[tuple[np.ndarray, ...]] = []
    for name, policy in policies.items():
        made = policy.generate(prompts, n=n, max_tokens=max_tokens, system=(systems or {}).get(name), rng=seed)
        base = reference.token_log_probs([asked[k] for k in made.prompt], made.tokens).total
        worth = np.full(len(made), np.nan) if reward is None else np.asarray(reward(made.prompt_texts, made.texts))
        parts.append((made.log_probs, base, made.n_tokens, made.prompt, worth))
    policy_logs, base_logs, tokens, codes, rewards = (np.concatenate(column) for column in zip(*parts, strict=True))
    return length_and_kl(
        policy_logs,
        base_logs,
        tokens,
        codes,
        conditions=[name for name, part in zip(policies, parts, strict=True) for _ in part[0]],
        reference_tokens=usual.n_tokens,
        rewards=None if reward is None else rewards,
    )


def _error(ratio: Float[np.ndarray, " answers"], pair: np.ndarray, prompt: np.ndarray) -> float:
    """Standard error, over prompts, of the mean over pairs of a prompt and a condition."""
    _, first, of = np.unique(pair, return_index=True, return_inverse=True)
    means = np.bincount(of, weights=ratio) / np.bincount(of)
    names, codes = np.unique(prompt[first], return_inverse=True)
    together = np.bincount(codes, weights=means - means.mean())
    n = len(names)
    return float(np.sqrt(n / (n - 1) * np.sum(together**2)) / len(means)) if n > 1 else float("nan")


def _rank_correlation(x: Float[np.ndarray, " answers"], y: Float[np.ndarray, " answers"]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic) if np.ptp(x) > 0 and np.ptp(y) > 0 else float("nan")
