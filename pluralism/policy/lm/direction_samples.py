"""Responses of a policy that is told directions: those by which it is judged, and the best by what each asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from pluralism.files.strings import decode_strings, encode_strings

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["Kept", "Shown", "from_start", "usable"]


@dataclass(frozen=True, eq=False)
class Kept:
    """What a round imitates: a prompt, the system message that tells a direction, and the response.

    Attributes
    ----------
    prompts, systems, responses : tuples of str
    """

    prompts: tuple[str, ...]
    systems: tuple[str, ...]
    responses: tuple[str, ...]

    def rows(self) -> dict[str, list[str]]:
        """The columns `prompt`, `system` and `completion`."""
        return {"prompt": list(self.prompts), "system": list(self.systems), "completion": list(self.responses)}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays, for a file."""
        texts = {"prompts": self.prompts, "systems": self.systems, "responses": self.responses}
        return {f"{name}.{part}": x for name, each in texts.items() for part, x in encode_strings(each).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Kept:
        """What `to_arrays` made arrays of."""
        names = ("prompts", "systems", "responses")
        return cls(*(tuple(decode_strings(_part(arrays, name))) for name in names))


@dataclass(frozen=True, eq=False)
class Shown:
    """Responses to the evaluation prompts under each shown direction: rows by direction, then prompt, then sample.

    Attributes
    ----------
    texts : tuple of str
    values : array of shape (rows, attributes)
        By the judge, in its own units.
    n_tokens : int array of shape (rows,)
    log_ratio : array of shape (rows,)
        log pi - log pi_0.
    """

    texts: tuple[str, ...]
    values: Float[np.ndarray, "rows attributes"]
    n_tokens: Int[np.ndarray, " rows"]
    log_ratio: Float[np.ndarray, " rows"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays, for a file."""
        texts = {f"texts.{part}": x for part, x in encode_strings(self.texts).items()}
        return {**texts, "values": self.values, "n_tokens": self.n_tokens, "log_ratio": self.log_ratio}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Shown:
        """What `to_arrays` made arrays of."""
        texts = tuple(decode_strings(_part(arrays, "texts")))
        return cls(texts, arrays["values"], arrays["n_tokens"], arrays["log_ratio"])


def usable(drawn: Generations) -> np.ndarray:
    """Which responses can be imitated: not cut short, since their end would be learnt, and not blank."""
    return drawn.finished & np.array([bool(text.strip()) for text in drawn.texts], dtype=bool)


def from_start(start: LanguageModel, drawn: Generations, systems: Sequence[str]) -> Float[np.ndarray, " rows"]:
    """Log pi - log pi_0 of responses, of the tokens as they were drawn.

    Parameters
    ----------
    start : LanguageModel
    drawn : Generations
    systems : sequence of str
        Of each of the prompts of `drawn`.
    """
    asked = [start.prompt_tokens(prompt, system=s) for prompt, s in zip(drawn.prompts, systems, strict=True)]
    return drawn.log_probs - start.token_log_probs([asked[k] for k in drawn.prompt], drawn.tokens).total


def _part(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name}."): x for key, x in arrays.items() if key.startswith(f"{name}.")}
