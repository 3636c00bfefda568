"""Token shift: where a base model would have said something else than the model beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_token_rows, by_position
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, POOLED, group_colour, own_axes, tidy, tidy_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from pluralism.policy.lm import Generations, LanguageModel

__all__ = ["KINDS", "TokenShift", "token_shift", "token_shift_of_ranks"]

KINDS = ("unshifted", "marginal", "shifted")
"""Of rank 1, of ranks 2 and 3, and of later ones."""

MARGINAL = 3


@dataclass(frozen=True, eq=False, repr=False)
class TokenShift(InstrumentResult):
    """Ranks, under a base model, of the tokens that another model chose.

    Attributes
    ----------
    ranks : tuple of int arrays of shape (tokens,)
        One array for each answer; 1 where the base model finds no token likelier.
    probabilities : tuple of arrays of shape (tokens,)
        Of the same tokens under the base model.
    tokens : tuple of tuple of str
        What was chosen.
    """

    ranks: tuple[Int[np.ndarray, " tokens"], ...]
    probabilities: tuple[Float[np.ndarray, " tokens"], ...]
    tokens: tuple[tuple[str, ...], ...]

    @property
    def shares(self) -> dict[str, float]:
        """Share of all tokens that are of each kind."""
        kinds = _kind(np.concatenate(self.ranks))
        return {name: float((kinds == code).mean()) for code, name in enumerate(KINDS)}

    def by_position(self) -> pa.Table:
        """Columns `position, answers, unshifted, marginal, shifted, probability`: means at each position, from 1."""
        columns: dict[str, Any] = {}
        for code, name in enumerate(KINDS):
            columns[name], counts = by_position([(_kind(row) == code).astype(np.float64) for row in self.ranks])
        columns["probability"] = by_position(self.probabilities)[0]
        return pa.table({"position": np.arange(1, len(counts) + 1), "answers": counts} | columns)

    def most_shifted(self, n: int = 20) -> pa.Table:
        """Columns `token, shifted, chosen, share`: tokens most often shifted, and how often they were chosen at all."""
        kinds = _kind(np.concatenate(self.ranks))
        said = [token for row in self.tokens for token in row]
        every = Counter(said)
        shifted = Counter(token for token, kind in zip(said, kinds, strict=True) if kind == KINDS.index("shifted"))
        top = sorted(shifted.items(), key=lambda entry: (-entry[1], entry[0]))[:n]
        return pa.table(
            {
                "token": pa.array([token for token, _ in top], pa.string()),
                "shifted": pa.array([count for _, count in top], pa.int64()),
                "chosen": pa.array([every[token] for token, _ in top], pa.int64()),
                "share": pa.array([count / every[token] for token, count in top], pa.float64()),
            }
        )

    def to_frame(self) -> pa.Table:
        """One row a token: `answer, position, token, rank, probability, kind`."""
        sizes = [len(row) for row in self.ranks]
        ranks = np.concatenate(self.ranks)
        return pa.table(
            {
                "answer": np.repeat(np.arange(len(sizes)), sizes),
                "position": np.concatenate([np.arange(1, size + 1) for size in sizes]),
                "token": [token for row in self.tokens for token in row],
                "rank": ranks,
                "probability": np.concatenate(self.probabilities),
                "kind": [KINDS[code] for code in _kind(ranks)],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The shares, and the rows of `by_position` and `most_shifted`."""
        return {
            "shares": self.shares,
            "positions": self.by_position().to_pylist(),
            "most_shifted": self.most_shifted().to_pylist(),
        }

    def __repr__(self) -> str:
        n = sum(map(len, self.ranks))
        columns: dict[str, Any] = {"kind": list(KINDS), "share": list(self.shares.values())}
        return f"TokenShift({n:,} tokens of {len(self.ranks):,} answers)\n{format_table(columns, digits=3)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the share of each kind by position."""
        ax = own_axes(ax, 5.4, 3.2)
        table = self.by_position()
        edges = np.arange(table.num_rows + 1) + 0.5
        below = np.zeros(table.num_rows)
        for name, colour in zip(KINDS, (FOCUS, POOLED, group_colour(1)), strict=True):
            upto = below + table[name].to_numpy()
            ax.stairs(upto, edges, baseline=below, fill=True, color=colour, alpha=0.75, linewidth=0, label=name)
            below = upto
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(0, 1)
        tidy(ax, xlabel="position, tokens", ylabel="share of tokens")
        tidy_legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def token_shift_of_ranks(
    ranks: Sequence[Sequence[int] | np.ndarray],
    probabilities: Sequence[Sequence[float] | np.ndarray],
    tokens: Sequence[Sequence[str]],
) -> TokenShift:
    """Token shift from ranks that are known; see `token_shift`.

    Parameters
    ----------
    ranks : sequence of int arrays of shape (tokens,)
        One for each answer, at least 1.
    probabilities : sequence of arrays of shape (tokens,)
        Of the same tokens under the base model.
    tokens : sequence of sequences of str
        What they say.

    Raises
    ------
    DataError
        If they do not fit each other, a rank is no whole number of at least 1, or a probability not in [0, 1].

    Examples
    --------
    >>> found = token_shift_of_ranks([[1, 3, 4]], [[0.9, 0.1, 0.01]], [["Sure", ",", " you"]])
    >>> found.most_shifted()["token"].to_pylist()
    [' you']
    """
    given = as_token_rows(ranks, "Ranks", low=1.0)
    chances = tuple(as_token_rows(probabilities, "Probabilities", low=0.0, high=1.0))
    rows = tuple(row.astype(np.int64) for row in given)
    said = tuple(tuple(str(token) for token in row) for row in tokens)
    if not rows or not list(map(len, rows)) == list(map(len, chances)) == list(map(len, said)):
        raise DataError("Ranks, probabilities and tokens do not fit.", fix="Give one of each for every token.")
    if any((row != own).any() for row, own in zip(rows, given, strict=True)):
        raise DataError("A rank is no whole number.", fix="The likeliest token has rank 1, the next one 2.")
    return TokenShift(rows, chances, said)


def token_shift(
    base: LanguageModel,
    generations: Generations,
    *,
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> TokenShift:
    """Rank under `base` each token that another model chose, after that model's own words so far [1]_.

    A token is unshifted where the base model would have chosen it as well, marginal where it is among the base model's
    first three, and shifted otherwise.

    Parameters
    ----------
    base : LanguageModel
        With the same tokens as the model that wrote: a model before tuning, or without its system message.
    generations : Generations
        Of the other model, written greedily (``temperature=0``): only then is each token that model's choice.
    system, examples
        What the base model is shown before each prompt; nothing, by default.

    Raises
    ------
    DataError
        If an answer has no token.
    UsageError
        If the answers have tokens that the base model does not know.

    References
    ----------
    .. [1] B. Y. Lin et al., "The unlocking spell on base LLMs: rethinking alignment via in-context learning",
       ICLR 2024, arXiv:2312.01552.
    """
    import torch

    from pluralism.diagnostics.next_tokens import read_generations

    largest = max((max(row) for row in generations.tokens if row), default=0)
    if largest >= len(base.tokenizer):
        raise UsageError(
            "The answers have tokens that the base model does not know.", fix="Compare models of one tokenizer."
        )

    def measure(logits: Tensor, tokens: Tensor) -> Tensor:
        chosen = logits.gather(-1, tokens[..., None])
        rank = 1 + (logits > chosen).sum(dim=-1)
        chance = torch.log_softmax(logits, dim=-1).gather(-1, tokens[..., None])[..., 0].exp()
        return torch.stack([rank.to(logits.dtype), chance])

    read = read_generations(base, generations, measure, system=system, examples=examples)
    # A token is named as it stands between others, so a word keeps the space before it.
    names = {token: base.tokenizer.decode([token]) for token in {token for row in generations.tokens for token in row}}
    said = [[names[token] for token in row] for row in generations.tokens]
    return token_shift_of_ranks([row[0].astype(np.int64) for row in read], [row[1] for row in read], said)


def _kind(ranks: Int[np.ndarray, " tokens"]) -> Int[np.ndarray, " tokens"]:
    return np.where(ranks == 1, 0, np.where(ranks <= MARGINAL, 1, 2))
