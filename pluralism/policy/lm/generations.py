"""What a language model wrote: texts for each prompt, their tokens, and how likely the model itself found them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError

__all__ = ["Generations"]


@dataclass(frozen=True, eq=False, repr=False)
class Generations:
    """Texts written for prompts, one row each; the rows of a prompt follow each other.

    Attributes
    ----------
    prompts : tuple of str
    prompt : int array of shape (rows,)
        Place of the row's prompt in `prompts`.
    sample : int array of shape (rows,)
        Which of its prompt's samples the row is, from 0.
    texts : tuple of str
        Without special tokens.
    tokens : tuple of tuple of int
        As the model wrote them; the token that ends the answer is the last, where there is one.
    log_probs : float64 array of shape (rows,)
        Log-probability, in nats, of `tokens` under the model: as it is, whatever temperature, filters and processors
        they were drawn with.
    finished : bool array of shape (rows,)
        Whether the model ended the answer; otherwise it was cut at the most tokens allowed.
    """

    prompts: tuple[str, ...]
    prompt: Int64[np.ndarray, " rows"]
    sample: Int64[np.ndarray, " rows"]
    texts: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    log_probs: Float64[np.ndarray, " rows"]
    finished: Bool[np.ndarray, " rows"]

    def __post_init__(self) -> None:
        n = len(self.texts)
        if any(len(column) != n for column in (self.prompt, self.sample, self.tokens, self.log_probs, self.finished)):
            raise UsageError("The columns of generations differ in length.", fix="Give one entry for each text.")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def n_tokens(self) -> Int64[np.ndarray, " rows"]:
        """How many tokens each answer has, the one that ends it included."""
        return np.array([len(tokens) for tokens in self.tokens], dtype=np.int64)

    @cached_property
    def prompt_texts(self) -> tuple[str, ...]:
        """The prompt of each row."""
        return tuple(self.prompts[k] for k in self.prompt)

    def of_prompt(self, k: int) -> tuple[str, ...]:
        """The texts of the k-th prompt, in the order of their samples.

        Raises
        ------
        UsageError
            There is no such prompt.
        """
        if not 0 <= k < len(self.prompts):
            raise UsageError(f"There is no prompt {k}.", fix=f"Prompts are counted from 0 to {len(self.prompts) - 1}.")
        return tuple(self.texts[row] for row in np.flatnonzero(self.prompt == k))

    def to_frame(self) -> pa.Table:
        """Columns `prompt, sample, text, n_tokens, log_prob, finished`."""
        return pa.table(
            {
                "prompt": list(self.prompt_texts),
                "sample": self.sample,
                "text": list(self.texts),
                "n_tokens": self.n_tokens,
                "log_prob": self.log_probs,
                "finished": self.finished,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`."""
        return json_ready({"rows": self.to_frame().to_pylist()})

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n, asked = len(self), len(self.prompts)
        head = f"Generations({n:,} text{'s' * (n != 1)} for {asked:,} prompt{'s' * (asked != 1)}"
        if not n:
            return f"{head})"
        return f"{head}, {self.n_tokens.mean():.0f} tokens each, {self.finished.mean():.0%} finished)"
