"""Options that a model chooses from: how they are put to it, and how its verdict is read."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pluralism.errors import UsageError
from pluralism.llm.structured import answer_in

__all__ = ["Options"]

_SHORT = 4
_MOST = len(string.ascii_uppercase)
_AFTER_LABEL = frozenset(":).,;-–")


@dataclass(frozen=True)
class Options:
    """Options with a short label each, which the first token of an answer tells apart.

    Short options that begin with different letters are their own labels (A, B, NA); others are lettered.

    Attributes
    ----------
    options : tuple of str
    labels : tuple of str
    """

    options: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, options: Sequence[str]) -> Options:
        """Label options.

        Raises
        ------
        UsageError
            There are fewer than two or more than 26, or two are the same.

        Examples
        --------
        >>> Options.of(["A", "B", "NA"]).labels, Options.of(["upgrade", "unsure"]).labels
        (('A', 'B', 'NA'), ('A', 'B'))
        """
        texts = tuple(options)
        if isinstance(options, str) or not 2 <= len(texts) <= _MOST:
            raise UsageError(f"A choice is between 2 and {_MOST} options.", fix="Pass a list of that many texts.")
        if any(not isinstance(text, str) or not text.strip() for text in texts) or len(set(texts)) < len(texts):
            raise UsageError("Options are different texts that are not empty.", fix="Word each of them otherwise.")
        short = all(len(text) <= _SHORT and text.isalnum() for text in texts)
        distinct = len({text[0].casefold() for text in texts}) == len(texts)
        return cls(texts, texts if short and distinct else tuple(string.ascii_uppercase[: len(texts)]))

    def instruction(self) -> str:
        """What to tell the model."""
        if self.labels == self.options:
            return f"Answer with one of {', '.join(self.labels)} and nothing else."
        listed = "\n".join(f"{label}: {option}" for label, option in zip(self.labels, self.options, strict=True))
        return f"{listed}\n\nAnswer with one of {', '.join(self.labels)} and nothing else."

    def read(self, text: str) -> int | None:
        """Which option a verdict names, or None.

        Examples
        --------
        >>> Options.of(["yes", "no"]).read("**Yes**."), Options.of(["yes", "no"]).read("It depends")
        (0, None)
        """
        verdict = _bare(answer_in(text))
        if not verdict:
            return None
        for names in (self.labels, self.options):
            for index, name in enumerate(names):
                if verdict == _bare(name):
                    return index
        for index, label in enumerate(self.labels):
            rest = verdict.removeprefix(label.casefold()).lstrip("*_ ")
            if len(rest) < len(verdict) and rest[:1] in _AFTER_LABEL:
                return index
        return None

    def weigh_tokens(self, tokens: Iterable[tuple[str, float]]) -> Float64[np.ndarray, " options"]:
        """Log-probabilities of the options, from those of first tokens.

        A token counts for the option whose label begins with it: ``"N"`` and ``" NA"`` both count for NA.
        """
        found = np.full(len(self.labels), -np.inf)
        for token, log_probability in tokens:
            start = _bare(token)
            matches = [k for k, label in enumerate(self.labels) if start and label.casefold().startswith(start)]
            if len(matches) == 1:
                found[matches[0]] = np.logaddexp(found[matches[0]], log_probability)
        return np.minimum(found, 0.0)

    def weigh(self, probabilities: Mapping[str, float]) -> Float64[np.ndarray, " options"]:
        """Log-probabilities of the options, in order; what is not named has none.

        Raises
        ------
        UsageError
            The probabilities are no such.
        """
        given = np.array([float(probabilities.get(option, 0.0)) for option in self.options])
        if not (given >= 0).all() or given.sum() > 1 + 1e-9:
            raise UsageError("Probabilities of options are not negative and sum to at most 1.")
        with np.errstate(divide="ignore"):
            return np.log(given)


def _bare(text: str) -> str:
    """Without case, and without punctuation and space around it."""
    folded = text.casefold()
    inside = [k for k, character in enumerate(folded) if unicodedata.category(character)[0] in "LN"]
    return folded[inside[0] : inside[-1] + 1] if inside else ""
