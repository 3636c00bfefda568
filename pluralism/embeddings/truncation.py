"""Texts that were longer than their encoder reads: counted, and said."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Int

from pluralism.errors import DataWarning

__all__ = ["Truncation"]


class Truncation:
    """Counts texts that were cut.

    Parameters
    ----------
    max_length : int or None
        Tokens that the encoder reads; None where it has no known limit.
    """

    def __init__(self, max_length: int | None) -> None:
        self.max_length = max_length
        self.count = 0
        self.longest = 0

    def add(self, lengths: Int[np.ndarray, " texts"] | None) -> None:
        """Take in the token counts of some texts (0 where unknown)."""
        if lengths is None or not len(lengths):
            return
        self.longest = max(self.longest, int(lengths.max()))
        if self.max_length is not None:
            self.count += int(np.count_nonzero(lengths > self.max_length))

    def warn(self, name: str, *, stacklevel: int = 3) -> None:
        """Warn if any text was cut."""
        if self.count:
            warnings.warn(
                f"{self.count} texts are longer than the {self.max_length} tokens that {name} reads (the longest has "
                f"{self.longest}): their ends do not count. Use an encoder with a larger max_length if they should.",
                DataWarning,
                stacklevel=stacklevel,
            )
