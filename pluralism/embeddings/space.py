"""The name of a vector space, and which names stand for the same space."""

from __future__ import annotations

__all__ = ["same_space"]


def same_space(one: str | None, other: str | None) -> bool:
    """Whether vectors of two spaces can be compared: equal names, but for the number format they were computed in.

    A model that was fitted on bfloat16 features of one machine can score float32 features of another.

    Parameters
    ----------
    one, other : str or None
        `Encoder.space`, or None for features of unknown origin, which are comparable with nothing but each other.

    Examples
    --------
    >>> same_space("minilm@1;norm=l2;dtype=bfloat16", "minilm@1;norm=l2;dtype=float32")
    True
    >>> same_space("minilm@1;norm=l2;dtype=float32", "minilm@2;norm=l2;dtype=float32")
    False
    """
    return _without_dtype(one) == _without_dtype(other)


def _without_dtype(space: str | None) -> str | None:
    return space and ";".join(part for part in space.split(";") if not part.startswith("dtype="))
