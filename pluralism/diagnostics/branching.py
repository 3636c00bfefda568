"""Branching factor: among how many continuations, as it were, a language model chooses at each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float64, Int
from numpy.typing import ArrayLike

from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_token_rows, by_position
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, own_axes, tidy
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from pluralism.policy.lm import Generations, LanguageModel

__all__ = ["BranchingFactor", "branching_factor", "branching_factor_of_tokens"]

Estimator = Literal["rule", "entropy", "aep"]
Tokens = Sequence[Float64[np.ndarray, " tokens"]]


@dataclass(frozen=True, eq=False, repr=False)
class BranchingFactor(InstrumentResult):
    """Exponential of the entropy rate, for each prompt and on the whole.

    Attributes
    ----------
    per_prompt : array of shape (prompts,)
        At least 1 where it is of entropies.
    estimator : tuple of {"entropy", "aep"}
        Which was used for each prompt.
    length : array of shape (prompts,)
        Mean length of the prompt's answers, in tokens.
    mean, low, high : float
        Over prompts, and its bootstrap interval (NaN for one prompt).
    position : array of shape (positions,)
        Exponential of the mean entropy at each position, over all answers that reach it.
    position_count : int array of shape (positions,)
        How many do.
    outside : float
        Share of tokens that are not among those kept by the truncation.
    top_p, temperature : float
        Of the distributions measured.
    """

    per_prompt: Float[np.ndarray, " prompts"]
    estimator: tuple[str, ...]
    length: Float[np.ndarray, " prompts"]
    mean: float
    low: float
    high: float
    position: Float[np.ndarray, " positions"]
    position_count: Int[np.ndarray, " positions"]
    outside: float
    top_p: float
    temperature: float

    def to_frame(self) -> pa.Table:
        """One row a prompt: `prompt, branching_factor, estimator, length`."""
        return pa.table(
            {
                "prompt": np.arange(len(self.per_prompt)),
                "branching_factor": self.per_prompt,
                "estimator": list(self.estimator),
                "length": self.length,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The numbers on the whole, by position, and the rows of `to_frame`."""
        names = ("mean", "low", "high", "top_p", "temperature", "outside", "position", "position_count")
        return {**{name: getattr(self, name) for name in names}, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        n, long = len(self.per_prompt), self.estimator.count("aep")
        return (
            f"BranchingFactor({self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] over {n:,} prompt{'s' * (n != 1)}; "
            f"top_p={self.top_p:g}, temperature={self.temperature:g}; by log-likelihood for {long})"
        )

    def plot(self, ax: Axes | None = None, *, label: str | None = None, colour: str = FOCUS) -> Axes:
        """Draw the branching factor by position, and the mean over prompts dashed; several fit on the same axes.

        Positions that fewer than one answer in twenty reach are left out.
        """
        ax = own_axes(ax, 5.0, 3.2)
        often = self.position_count >= 0.05 * self.position_count[0]
        places = np.arange(1, len(self.position) + 1)
        ax.plot(places[often], self.position[often], color=colour, linewidth=1.4, label=label)
        ax.axhline(self.mean, color=colour, linewidth=0.9, alpha=0.5, linestyle=(0, (4, 3)))
        tidy(ax, grid="y", xlabel="position, tokens", ylabel="branching factor (dashed: mean)")
        return ax


def branching_factor_of_tokens(
    entropies: Tokens,
    log_probs: Tokens,
    prompt: ArrayLike,
    *,
    estimator: Estimator = "rule",
    long: float = 50.0,
    quantile: float = 0.95,
    level: float = 0.95,
    n_bootstrap: int = 1000,
    rng: RNG = 0,
    outside: float = 0.0,
    top_p: float = 1.0,
    temperature: float = 1.0,
) -> BranchingFactor:
    r"""Branching factor from entropies and log-probabilities of sampled tokens [1]_.

    Parameters
    ----------
    entropies : sequence of arrays of shape (tokens,)
        Of the distribution that each token of each answer was drawn from, in nats.
    log_probs : sequence of arrays of shape (tokens,)
        Of the drawn tokens under the same distributions.
    prompt : int array of shape (answers,)
        Codes 0, 1, ... of the prompts that the answers were drawn for.
    estimator : {"rule", "entropy", "aep"}
        "entropy": mean over positions of the mean entropy over the answers that reach it, up to a quantile of their
        lengths. "aep": mean over the answers of the mean negative log-likelihood of their tokens, which tends to the
        entropy rate for long answers (asymptotic equipartition). "rule": the second for prompts whose answers are
        longer than `long` tokens on the mean, the first for others.
    quantile : float
        Of a prompt's lengths; later positions rest on few answers, and are left out of "entropy".
    level, n_bootstrap, rng
        Interval over prompts.
    outside, top_p, temperature
        How the distributions were made; reported as they are.

    Raises
    ------
    DataError
        If the arrays do not fit each other, an answer has no token, or a number is not finite or has the wrong sign.
    UsageError
        If there is no such estimator, or a setting is no share.

    References
    ----------
    .. [1] C. Yang et al., "How alignment shrinks the generative horizon", arXiv:2506.17871.

    Examples
    --------
    >>> four = np.full(3, np.log(4))
    >>> branching_factor_of_tokens([four, four[:2]], [-four, -four[:2]], [0, 0])
    BranchingFactor(4.00 [nan, nan] over 1 prompt; top_p=1, temperature=1; by log-likelihood for 0)
    """
    if estimator not in ("rule", "entropy", "aep"):
        raise UsageError(f"There is no estimator {estimator!r}.", fix="It is 'rule', 'entropy' or 'aep'.")
    if not 0 < quantile <= 1 or not 0 < level < 1:
        raise UsageError("quantile and level are shares.", fix="quantile=0.95, level=0.95 are usual.")
    if not long >= 0 or n_bootstrap < 0:
        raise UsageError("long and n_bootstrap are at least 0.", fix="Leave them out.")
    codes = np.asarray(prompt)
    spread, drawn = (
        as_token_rows(entropies, "Entropies", low=0.0),
        as_token_rows(log_probs, "Log-probabilities", high=0),
    )
    n = len(spread)
    if n == 0 or len(drawn) != n or codes.shape != (n,) or codes.dtype.kind not in "iu" or codes.min() < 0:
        raise DataError("Entropies, log-probabilities and prompts do not fit.", fix="Give one of each for an answer.")
    if any(len(h) != len(q) for h, q in zip(spread, drawn, strict=True)):
        raise DataError("An answer has not one entropy for each token.", fix="Measure both along the same tokens.")
    rates, used, lengths = [], [], []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code).tolist()
        sizes = np.array([len(spread[row]) for row in rows])
        by_likelihood = estimator == "aep" or (estimator == "rule" and sizes.mean() > long)
        if by_likelihood:
            rates.append(-float(np.mean([np.mean(drawn[row]) for row in rows])))
        else:
            most = int(np.ceil(np.quantile(sizes, quantile)))
            rates.append(float(by_position([spread[row] for row in rows])[0][:most].mean()))
        used.append("aep" if by_likelihood else "entropy")
        lengths.append(float(sizes.mean()))
    per_prompt = np.exp(rates)
    low = high = float("nan")
    if len(per_prompt) > 1 and n_bootstrap > 0:
        picks = as_generator(rng, "branching").integers(len(per_prompt), size=(n_bootstrap, len(per_prompt)))
        low, high = np.quantile(per_prompt[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2]).tolist()
    mean_entropy, counts = by_position(spread)
    return BranchingFactor(
        per_prompt=per_prompt,
        estimator=tuple(used),
        length=np.array(lengths),
        mean=float(per_prompt.mean()),
        low=low,
        high=high,
        position=np.exp(mean_entropy),
        position_count=counts,
        outside=outside,
        top_p=top_p,
        temperature=temperature,
    )


def branching_factor(
    model: LanguageModel,
    generations: Generations,
    *,
    top_p: float = 1.0,
    temperature: float = 1.0,
    estimator: Estimator = "rule",
    long: float = 50.0,
    quantile: float = 0.95,
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
    level: float = 0.95,
    n_bootstrap: int = 1000,
    rng: RNG = 0,
) -> BranchingFactor:
    """Branching factor of what a language model wrote, by one pass over it.

    Parameters
    ----------
    model : LanguageModel
        That wrote the answers.
    generations : Generations
        Drawn with the same `top_p` and `temperature`; compare conditions at equal ones.
    top_p : float
        Entropies are of the likeliest tokens of this mass, renormalised: 1 for the whole distribution, 0.9 in the
        published study. Truncation lowers them.
    temperature : float
        Above 0.
    estimator, long, quantile, level, n_bootstrap, rng
        As in `branching_factor_of_tokens`.
    system, examples
        As the answers were drawn with.

    Raises
    ------
    DataError
        If an answer has no token.
    UsageError
        If the temperature, the mass or another setting is not possible.
    """
    import torch

    from pluralism.diagnostics.next_tokens import entropy, nucleus, read_generations

    if not temperature > 0:
        raise UsageError(f"temperature={temperature!r} is not possible.", fix="It is above 0; at 0 nothing branches.")

    def measure(logits: Tensor, tokens: Tensor) -> Tensor:
        scaled = logits / temperature
        kept = nucleus(scaled, top_p)
        drawn = kept.gather(-1, tokens[..., None])[..., 0]
        outside = torch.isneginf(drawn)
        # A token that truncation would have cut off counts with its probability before it.
        whole = torch.log_softmax(scaled, dim=-1).gather(-1, tokens[..., None])[..., 0]
        return torch.stack([entropy(kept), torch.where(outside, whole, drawn), outside.to(kept.dtype)])

    read = read_generations(model, generations, measure, system=system, examples=examples)
    return branching_factor_of_tokens(
        [rows[0] for rows in read],
        [rows[1] for rows in read],
        generations.prompt,
        estimator=estimator,
        long=long,
        quantile=quantile,
        level=level,
        n_bootstrap=n_bootstrap,
        rng=rng,
        outside=float(np.concatenate([rows[2] for rows in read]).mean()),
        top_p=top_p,
        temperature=temperature,
    )
