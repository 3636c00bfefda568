"""Log-probabilities that a policy gives to the two responses of preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from pluralism.data.arrays import frozen
from pluralism.diagnostics.rows import as_numbers
from pluralism.errors import DataError

if TYPE_CHECKING:
    from pluralism.policy.lm import LanguageModel

__all__ = ["PairLogProbs"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PairLogProbs:
    """What a policy says of pairs of a chosen and a rejected response.

    Parameters
    ----------
    chosen, rejected : array of shape (pairs,)
        Log-probabilities of the whole responses given their prompts, in nats.
    chosen_tokens, rejected_tokens : array of shape (pairs,), optional
        Numbers of tokens, at least 1, that these sums are over; needed for length-normalised margins.

    Raises
    ------
    DataError
        If the arrays do not fit each other or are not finite.

    Examples
    --------
    >>> PairLogProbs([-12.0, -30.0], [-15.0, -25.0], [4, 10], [3, 5]).normalised_margin
    array([2., 2.])
    """

    chosen: Float64[np.ndarray, " pairs"]
    rejected: Float64[np.ndarray, " pairs"]
    chosen_tokens: Float64[np.ndarray, " pairs"] | None = None
    rejected_tokens: Float64[np.ndarray, " pairs"] | None = None

    def __init__(
        self,
        chosen: ArrayLike,
        rejected: ArrayLike,
        chosen_tokens: ArrayLike | None = None,
        rejected_tokens: ArrayLike | None = None,
    ) -> None:
        first = as_numbers(chosen, "chosen")
        fields: dict[str, Any] = {"chosen": first, "rejected": as_numbers(rejected, "rejected", first.shape)}
        for name, given in (("chosen_tokens", chosen_tokens), ("rejected_tokens", rejected_tokens)):
            fields[name] = None if given is None else as_numbers(given, name, first.shape)
            if given is not None and (fields[name] < 1).any():
                raise DataError(f"{name} has numbers below 1.", fix="Count the token that ends a response as well.")
        if (chosen_tokens is None) != (rejected_tokens is None):
            raise DataError("Only one side has numbers of tokens.", fix="Give both, or none.")
        self.__dict__.update({name: None if given is None else frozen(given) for name, given in fields.items()})

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        prompts: Sequence[str],
        chosen: Sequence[str],
        rejected: Sequence[str],
        *,
        system: str | Sequence[str | None] | None = None,
        examples: Sequence[tuple[str, str]] = (),
    ) -> PairLogProbs:
        """Those of a language model.

        Parameters
        ----------
        model : LanguageModel
        prompts, chosen, rejected : sequence of str
            One of each for a pair.
        system, examples
            As in `LanguageModel.log_probs`.
        """
        if not len(prompts) == len(chosen) == len(rejected):
            raise DataError(
                f"There are {len(prompts)} prompts, {len(chosen)} chosen and {len(rejected)} rejected responses.",
                fix="Give one of each for a pair.",
            )
        first = model.log_probs(prompts, chosen, system=system, examples=examples)
        second = model.log_probs(prompts, rejected, system=system, examples=examples)
        return cls(first.total, second.total, first.n_tokens, second.n_tokens)

    @property
    def margin(self) -> Float64[np.ndarray, " pairs"]:
        """Log-probability of the chosen response less that of the rejected one."""
        return self.chosen - self.rejected

    @property
    def normalised_margin(self) -> Float64[np.ndarray, " pairs"]:
        """The same of mean log-probabilities of a token; NaN where tokens were not counted."""
        if self.chosen_tokens is None or self.rejected_tokens is None:
            return np.full(len(self), np.nan)
        return self.chosen / self.chosen_tokens - self.rejected / self.rejected_tokens

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        mean = f", mean margin {np.mean(self.margin):.3f} nats" if len(self) else ""
        return f"PairLogProbs({len(self):,} pairs{mean})"
