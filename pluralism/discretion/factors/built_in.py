"""Cheap factors of a text: length, hedging, formatting, readability, repetition, sentiment."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.extras import require

__all__ = ["factor_names", "factor_values"]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)|\n\s*\n")
_VOWELS = re.compile(r"[aeiouyáéíóúàèìòùäëïöüâêîôûæœ]+")
_MARKUP = re.compile(
    r"^\s{0,3}#{1,6}\s|^\s*(?:[-*+•]|\d{1,3}[.)])\s+|^\s*>|^\s*```|\*\*[^*\n]+\*\*|__[^_\n]+__|`[^`\n]+`"
    r"|^\s*\|.*\|\s*$|\[[^\]\n]+\]\([^)\n]+\)",
    re.MULTILINE,
)
_HEDGES = frozenset(
    "apparently arguably assume assumed believe could doubt doubtful fairly generally guess hopefully largely likely "
    "mainly may maybe might mostly often perhaps possible possibly presumably probable probably quite rather "
    "relatively roughly seem seemed seemingly seems should somewhat sometimes suggest suggests suppose tend tends "
    "think typically uncertain unclear unlikely usually".split()
)
_N = 3


def factor_names() -> tuple[str, ...]:
    """Names of the built-in factors."""
    return tuple(_FACTORS)


def factor_values(texts: Sequence[str], name: str) -> Float[np.ndarray, " items"]:
    """A factor of each text.

    Parameters
    ----------
    texts : sequence of str
    name : str
        ``length``: words. ``hedging``: share of words such as "perhaps", in [0, 1]; English. ``formatting``: marks of
        Markdown (headings, list items, quotes, code, emphasis, tables, links). ``readability``: Flesch reading ease;
        100 is very easy, 0 very hard; made for English, with syllables counted as groups of vowels. ``repetition``:
        share of three-word sequences that came before, in [0, 1]. ``sentiment``: polarity in [-1, 1] by TextBlob's
        lexicon, English (needs the extra `sentiment`).

    Raises
    ------
    UsageError
        An unknown name.
    MissingExtraError
        For ``sentiment`` without its library.

    References
    ----------
    R. Flesch, A new readability yardstick, Journal of Applied Psychology 32, 1948.

    Examples
    --------
    >>> factor_values(["Perhaps it may rain.", "It rains."], "hedging").tolist()
    [0.5, 0.0]
    """
    if name not in _FACTORS:
        raise UsageError(f"There is no built-in factor {name!r}.", fix=f"Built in: {', '.join(_FACTORS)}.")
    function = _FACTORS[name]
    return np.array([function(text) for text in texts], dtype=np.float64).reshape(len(texts))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _length(text: str) -> float:
    return float(len(_WORD.findall(text)))


def _hedging(text: str) -> float:
    words = _words(text)
    return sum(word in _HEDGES for word in words) / max(len(words), 1)


def _formatting(text: str) -> float:
    return float(len(_MARKUP.findall(text)))


def _readability(text: str) -> float:
    words = _words(text)
    if not words:
        return 0.0
    sentences = max(len([part for part in _SENTENCE_END.split(text) if _WORD.search(part)]), 1)
    syllables = sum(_syllables(word) for word in words)
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


@functools.lru_cache(maxsize=1 << 16)
def _syllables(word: str) -> int:
    groups = len(_VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee", "ie", "ye")) and groups > 1:
        groups -= 1
    return max(groups, 1)


def _repetition(text: str) -> float:
    words = _words(text)
    grams = [tuple(words[k : k + _N]) for k in range(len(words) - _N + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def _sentiment(text: str) -> float:
    return float(_analyser().analyze(text).polarity)


@functools.cache
def _analyser() -> Any:
    library = require("textblob.en.sentiments", extra="sentiment", purpose="The factor sentiment")
    return library.PatternAnalyzer()


_FACTORS: dict[str, Callable[[str], float]] = {
    "length": _length,
    "hedging": _hedging,
    "formatting": _formatting,
    "readability": _readability,
    "repetition": _repetition,
    "sentiment": _sentiment,
}
