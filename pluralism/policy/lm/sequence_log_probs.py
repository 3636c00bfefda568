"""How likely a language model finds given answers: the sum over tokens, and token by token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from pluralism.calibration.text import json_ready

__all__ = ["SequenceLogProbs"]


@dataclass(frozen=True, eq=False, repr=False)
class SequenceLogProbs:
    """Log-probabilities of answers to their prompts, in nats.

    Attributes
    ----------
    per_token : tuple of float64 arrays
        One array for each answer, as long as the answer has tokens (its end included, where it was asked for).

    Examples
    --------
    >>> found = SequenceLogProbs((np.array([-1.0, -0.5]), np.array([-2.0])))
    >>> found.total, found.mean
    (array([-1.5, -2. ]), array([-0.75, -2.  ]))
    """

    per_token: tuple[Float64[np.ndarray, " tokens"], ...]

    def __len__(self) -> int:
        return len(self.per_token)

    @cached_property
    def total(self) -> Float64[np.ndarray, " rows"]:
        """Log-probability of each answer: the sum over its tokens."""
        return np.array([found.sum() for found in self.per_token], dtype=np.float64)

    @cached_property
    def n_tokens(self) -> Int64[np.ndarray, " rows"]:
        """Tokens of each answer."""
        return np.array([len(found) for found in self.per_token], dtype=np.int64)

    @cached_property
    def mean(self) -> Float64[np.ndarray, " rows"]:
        """Log-probability by token: `total` over `n_tokens`."""
        return self.total / self.n_tokens

    def to_frame(self) -> pa.Table:
        """Columns `log_prob, n_tokens, mean`."""
        return pa.table({"log_prob": self.total, "n_tokens": self.n_tokens, "mean": self.mean})

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`."""
        return json_ready({"rows": self.to_frame().to_pylist()})

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        n = len(self)
        return f"SequenceLogProbs({n:,} answer{'s' * (n != 1)}, {self.mean.mean():.3f} nats a token)"
