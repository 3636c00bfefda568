"""Entropy and mass of the likeliest next tokens: what shrinks first when likelihoods are pushed too far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int

from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.next_tokens import entropy, read_generations
from pluralism.diagnostics.rows import by_position
from pluralism.errors import UsageError
from pluralism.figures import FOCUS, own_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy.lm import Generations, LanguageModel

__all__ = ["TopK", "measure_top_k", "top_k_entropy", "top_k_mass", "top_k_of_model"]


def top_k_entropy(logits: Float[torch.Tensor, "*tokens vocabulary"], k: int) -> Float[torch.Tensor, "*tokens"]:
    """Entropy, in nats, of the k likeliest tokens renormalised; between 0 and log k.

    Parameters
    ----------
    logits : tensor of shape (..., vocabulary)
        A token that cannot come has -inf.
    k : int
        At least 1 and at most the vocabulary.

    Raises
    ------
    UsageError
        If there is no such k.

    Examples
    --------
    >>> top_k_entropy(torch.zeros(1, 10), 4).exp().numpy()
    array([4.], dtype=float32)
    """
    return entropy(torch.log_softmax(logits.topk(_check_k(k, logits), dim=-1).values, dim=-1))


def top_k_mass(logits: Float[torch.Tensor, "*tokens vocabulary"], k: int) -> Float[torch.Tensor, "*tokens"]:
    """Probability of the k likeliest tokens together; between k over the vocabulary and 1.

    Parameters
    ----------
    logits : tensor of shape (..., vocabulary)
        A token that cannot come has -inf.
    k : int
        At least 1 and at most the vocabulary.

    Raises
    ------
    UsageError
        If there is no such k.

    Examples
    --------
    >>> top_k_mass(torch.zeros(1, 10), 4).numpy().round(3)
    array([0.4], dtype=float32)
    """
    # Large logits lose the digits that their sums differ by.
    logits = logits - logits.max(dim=-1, keepdim=True).values
    top = logits.topk(_check_k(k, logits), dim=-1).values
    return (top.logsumexp(dim=-1) - logits.logsumexp(dim=-1)).exp()


@dataclass(frozen=True, eq=False, repr=False)
class TopK(InstrumentResult):
    """Entropy and mass of the k likeliest tokens at each position of given answers.

    Attributes
    ----------
    k : int
    entropy, mass : array of shape (positions,)
        Means over the answers that reach the position; entropy in nats.
    count : int array of shape (positions,)
        How many do.
    row_entropy, row_mass : array of shape (answers,)
        Means over the tokens of each answer.
    """

    k: int
    entropy: Float[np.ndarray, " positions"]
    mass: Float[np.ndarray, " positions"]
    count: Int[np.ndarray, " positions"]
    row_entropy: Float[np.ndarray, " answers"]
    row_mass: Float[np.ndarray, " answers"]

    def to_frame(self) -> pa.Table:
        """One row a position, from 1: `position, answers, entropy, mass`."""
        return pa.table(
            {
                "position": np.arange(1, len(self.count) + 1),
                "answers": self.count,
                "entropy": self.entropy,
                "mass": self.mass,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """`k`, both means over answers, and the rows of `to_frame`."""
        means = {"k": self.k, "entropy": float(self.row_entropy.mean()), "mass": float(self.row_mass.mean())}
        return {**means, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        return (
            f"TopK(k={self.k}, {len(self.row_entropy):,} answers: entropy {self.row_entropy.mean():.3f} of at most "
            f"{np.log(self.k):.3f} nats, mass {self.row_mass.mean():.3f})"
        )

    def plot(self, ax: Axes | None = None, *, label: str | None = None, colour: str = FOCUS) -> Axes:
        """Draw the entropy by position, and the mass dashed, on an axis from 0 to 1 at the right."""
        ax = own_axes(ax, 5.2, 3.2)
        places = np.arange(1, len(self.count) + 1)
        ax.plot(places, self.entropy, color=colour, linewidth=1.4, label=label)
        tidy(ax, grid="y", xlabel="position, tokens", ylabel=f"entropy of the top {self.k}, nats")
        ax.set_ylim(bottom=0)
        other = ax.twinx()
        other.plot(places, self.mass, color=colour, linewidth=1.1, linestyle=(0, (4, 3)))
        tidy(other, ylabel="their mass (dashed)")
        other.spines["right"].set_visible(True)
        other.set_ylim(0, 1.02)
        return ax


def measure_top_k(k: int) -> Any:
    """What `read_answers` takes, for entropy and mass of the k likeliest."""
    return lambda logits, tokens: torch.stack([top_k_entropy(logits, k), top_k_mass(logits, k)])


def top_k_of_model(
    model: LanguageModel,
    generations: Generations,
    *,
    k: int = 10,
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> TopK:
    """Entropy and mass of the k likeliest next tokens [1]_, along answers and on their mean.

    Parameters
    ----------
    model : LanguageModel
    generations : Generations
        The answers along which it is asked; its own, or the same ones for several models.
    k : int
        At least 1 and at most the vocabulary.
    system, examples
        What the model is shown before each prompt.

    Raises
    ------
    DataError
        If an answer has no token.
    UsageError
        If there is no such k.

    References
    ----------
    .. [1] Z. Shi et al., "Understanding likelihood over-optimisation in direct alignment algorithms",
       arXiv:2410.11677.
    """
    read = read_generations(model, generations, measure_top_k(k), system=system, examples=examples)
    means, counts = by_position([rows[0] for rows in read])
    return TopK(
        k=k,
        entropy=means,
        mass=by_position([rows[1] for rows in read])[0],
        count=counts,
        row_entropy=np.array([rows[0].mean() for rows in read]),
        row_mass=np.array([rows[1].mean() for rows in read]),
    )


def _check_k(k: int, logits: torch.Tensor) -> int:
    if k != int(k) or not 1 <= k <= logits.shape[-1]:
        raise UsageError(f"k={k!r} is not possible.", fix=f"It is a whole number from 1 to {logits.shape[-1]}.")
    return int(k)
