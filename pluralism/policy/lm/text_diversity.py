"""How different the responses to one prompt are from each other, by their words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from pluralism.errors import DataError, UsageError
from pluralism.models.settings import is_whole

__all__ = ["distinct_n", "self_bleu"]

Gram: TypeAlias = tuple[str, ...]

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
LONGEST = 4
"""Words of the longest n-grams of BLEU."""


def distinct_n(texts: Sequence[str], prompt: Int[np.ndarray, " texts"], n: int = 2) -> float:
    """Different n-grams of all responses to a prompt over all their n-grams, mean over prompts.

    Parameters
    ----------
    texts : sequence of str
    prompt : int array of shape (texts,)
        Which prompt each text answers.
    n : int
        Words of an n-gram; punctuation counts as words, case does not.

    Returns
    -------
    float
        In (0, 1]: 1 if no n-gram comes twice. NaN where no text has n words. It falls with the length of the texts,
        so compare it where lengths are alike.

    References
    ----------
    J. Li et al., "A diversity-promoting objective function for neural conversation models", NAACL 2016.

    Examples
    --------
    >>> distinct_n(["a good plan", "a good idea"], np.array([0, 0]))
    0.75
    """
    if not is_whole(n):
        raise UsageError(f"n={n!r} is not possible.", fix="It is a whole number of words, at least 1.")
    shares = []
    for members in _by_prompt(len(texts), prompt):
        grams = [gram for i in members for gram in _grams(_words(texts[i]), n)]
        if grams:
            shares.append(len(set(grams)) / len(grams))
    return float(np.mean(shares)) if shares else float("nan")


def self_bleu(texts: Sequence[str], prompt: Int[np.ndarray, " texts"]) -> float:
    r"""BLEU of each response with the other responses to its prompt as references, mean over prompts.

    n-grams of one to four words, each precision with one match and one n-gram added from two words on, and the penalty
    of short texts against the reference of the nearest length. A text that is as another has 1.

    Returns
    -------
    float
        In [0, 1]; high is little diversity. NaN where no prompt has two responses.

    References
    ----------
    Y. Zhu et al., "Texygen: a benchmarking platform for text generation models", SIGIR 2018.

    Examples
    --------
    >>> self_bleu(["a good plan for you"] * 2, np.array([0, 0]))
    1.0
    """
    scores = []
    for members in _by_prompt(len(texts), prompt):
        if len(members) > 1:
            scores.append(float(np.mean(_each_against_others([_words(texts[i]) for i in members]))))
    return float(np.mean(scores)) if scores else float("nan")


def _by_prompt(n: int, prompt: Int[np.ndarray, " texts"]) -> list[Int[np.ndarray, " members"]]:
    codes = np.asarray(prompt)
    if codes.shape != (n,):
        raise DataError(f"Prompts of shape {codes.shape} do not fit {n:,} texts.", fix="Give one for each text.")
    return [np.flatnonzero(codes == code) for code in np.unique(codes)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(words: list[str], n: int) -> list[Gram]:
    return list(zip(*(words[k:] for k in range(n)), strict=False))


def _each_against_others(words: list[list[str]]) -> list[float]:
    logs: list[list[float]] = [[] for _ in words]
    for n in range(1, LONGEST + 1):
        counts = [Counter(_grams(text, n)) for text in words]
        most = _two_largest(counts)
        for i, own in enumerate(counts):
            total = sum(own.values())
            if total:
                matched = sum(min(count, _of_others(most[gram], i)) for gram, count in own.items())
                added = n > 1
                share = (matched + added) / (total + added)
                logs[i].append(float(np.log(share)) if share else -np.inf)
    return [
        _brief(words, i) * float(np.exp(np.mean(own))) if own else _as_empty(words, i) for i, own in enumerate(logs)
    ]


def _two_largest(counts: Sequence[Counter[Gram]]) -> dict[Gram, tuple[int, int, int]]:
    """Of each n-gram: the largest count in a text, which text that is, and the largest count in the others."""
    found: dict[Gram, tuple[int, int, int]] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            first, whose, second = found.get(gram, (0, -1, 0))
            found[gram] = (count, i, first) if count > first else (first, whose, max(second, count))
    return found


def _of_others(most: tuple[int, int, int], text: int) -> int:
    first, whose, second = most
    return second if whose == text else first


def _brief(words: list[list[str]], text: int) -> float:
    """The penalty of a text that is shorter than the nearest of the others."""
    n = len(words[text])
    nearest = min((abs(len(other) - n), len(other)) for i, other in enumerate(words) if i != text)[1]
    return float(np.exp(min(0.0, 1.0 - nearest / n)))


def _as_empty(words: list[list[str]], text: int) -> float:
    """An empty text is as another where that is empty too."""
    return float(any(not other for i, other in enumerate(words) if i != text))
