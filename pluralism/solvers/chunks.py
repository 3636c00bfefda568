"""Compiled loops over chunks of users come in two forms: one chunk, and all chunks on all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["over_chunks"]


def over_chunks(
    one: Callable[..., Any], parallel: Callable[..., Any], chunks: Int[np.ndarray, " chunks_plus_1"], *arguments: Any
) -> None:
    """Run a kernel over all chunks; a single one without threads, whose start costs more than a small problem.

    Parameters
    ----------
    one : callable
        Takes the number of a chunk, the boundaries of all, and the arguments.
    parallel : callable
        Takes the boundaries and the arguments.
    """
    if len(chunks) == 2:
        one(0, chunks, *arguments)
    else:
        parallel(chunks, *arguments)
