"""Answers that a group prefers, from which examples are chosen for the place before a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.data.arrays import frozen
from pluralism.embeddings.encoder import Encoder
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups

__all__ = ["ExamplePool", "example_pools"]


@dataclass(frozen=True, eq=False, repr=False)
class ExamplePool:
    """Prompts with an answer that a group prefers, and by how much.

    Parameters
    ----------
    prompts, responses : sequences of str
    margins : array of shape (rows,)
        By how much the group prefers the answer to others of the same prompt: differences within a prompt are all that
        comparisons tell of rewards.
    features : array of shape (rows, dim), optional
        Of the prompts, for the choice by similarity; see `embedded`.

    Raises
    ------
    DataError
        There is no row, lengths differ, or numbers are not finite.
    """

    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    margins: Float[np.ndarray, " rows"]
    features: Float[np.ndarray, "rows dim"] | None = None

    def __post_init__(self) -> None:
        prompts, responses = tuple(self.prompts), tuple(self.responses)
        margins = frozen(np.array(self.margins, dtype=np.float64))
        if not prompts or len(responses) != len(prompts) or margins.shape != (len(prompts),):
            raise DataError(
                f"{len(prompts)} prompts, {len(responses)} responses and margins of shape {margins.shape} are no pool.",
                fix="Give one response and one margin for each prompt, and one prompt at least.",
            )
        features = self.features
        if features is not None:
            features = frozen(_unit_rows(np.array(features, dtype=np.float64), len(prompts)))
        if not np.isfinite(margins).all():
            raise DataError("Margins of examples are not finite.", fix="Leave these examples out.")
        for name, value in (("prompts", prompts), ("responses", responses), ("margins", margins)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "features", features)

    def __len__(self) -> int:
        return len(self.prompts)

    def embedded(self, encoder: Encoder) -> ExamplePool:
        """The pool with the features of its prompts."""
        return replace(self, features=np.asarray(encoder.encode(self.prompts)))

    def choose(
        self,
        prompt: str,
        n: int,
        *,
        similarity: float = 0.0,
        feature: ArrayLike | None = None,
        n_tokens: Callable[[str, str], int] | None = None,
        budget: int | None = None,
    ) -> tuple[tuple[str, str], ...]:
        """Examples for a prompt, the best last: it then stands beside the prompt.

        Examples are ordered by ``(1 - similarity) * place + similarity * cosine``, where the place of an example is
        its mid-rank among the margins, in (0, 1). No prompt is shown twice, and never the one that is asked: its
        preferred answer would be given away. An example that no longer fits into the budget is passed over.

        Parameters
        ----------
        prompt : str
        n : int
            Examples at most.
        similarity : float
            From 0, the largest margins whatever the prompt, to 1, the prompts most like this one.
        feature : array of shape (dim,), optional
            Of the prompt; needed where `similarity` is above 0.
        n_tokens : callable, optional
            Tokens of an example, given its prompt and response.
        budget : int, optional
            Tokens of all examples together, at most; needs `n_tokens`.

        Raises
        ------
        UsageError
            A number that cannot work, features are missing, or not one example fits into the budget.
        """
        score = self._score(similarity, feature)
        if n < 1 or (budget is None) != (n_tokens is None) or (budget is not None and budget < 1):
            raise UsageError(
                f"n={n!r} examples within budget={budget!r} are not possible.",
                fix="Ask for one or more; a budget in tokens comes with n_tokens, which counts them.",
            )
        chosen: list[tuple[str, str]] = []
        shown, left = {prompt}, budget
        for row in np.argsort(-score, kind="stable"):
            example = (self.prompts[row], self.responses[row])
            if example[0] in shown:
                continue
            if n_tokens is not None and left is not None:
                cost = n_tokens(*example)
                if cost > left:
                    continue
                left -= cost
            chosen.append(example)
            shown.add(example[0])
            if len(chosen) == n:
                break
        if not chosen:
            own = all(one == prompt for one in self.prompts)
            raise UsageError(
                "All examples are of the prompt itself." if own else f"No example of {len(self)} fits into the budget.",
                fix="Give examples of other prompts." if own else "Raise the budget, or give shorter examples.",
            )
        return tuple(reversed(chosen))

    def _score(self, similarity: float, feature: ArrayLike | None) -> Float[np.ndarray, " rows"]:
        if not 0 <= similarity <= 1:
            raise UsageError(f"similarity={similarity!r} is not possible.", fix="Use a number from 0 to 1.")
        place = _mid_ranks(self.margins)
        if similarity == 0:
            return place
        if self.features is None or feature is None:
            raise UsageError(
                "Examples cannot be chosen by similarity without features.", fix="Use pool.embedded(encoder)."
            )
        own = _unit_rows(np.asarray(feature, dtype=np.float64)[None], 1)[0]
        if len(own) != self.features.shape[1]:
            raise DataError(
                f"A prompt of {len(own)} features meets a pool of {self.features.shape[1]}.", fix="Use one encoder."
            )
        return (1 - similarity) * place + similarity * (self.features @ own)

    def to_frame(self) -> pa.Table:
        """Columns `prompt, response, margin`."""
        return pa.table({"prompt": list(self.prompts), "response": list(self.responses), "margin": self.margins})

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, as JSON."""
        return json.dumps(json_ready(self.to_frame().to_pylist()), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        known = "" if self.features is None else ", embedded"
        return f"ExamplePool({len(self):,} examples, margins up to {self.margins.max():.3g}{known})"


def example_pools(
    prompts: Sequence[str], responses: Sequence[str], rewards: ArrayLike, groups: Sequence[str]
) -> dict[str, ExamplePool]:
    """A pool for each group: of each prompt the response that the group likes most.

    Its margin is the reward above the mean of the prompt's responses, in which the constant that a reward learnt from
    comparisons lacks falls out. Prompts whose responses a group likes equally tell nothing and are left out.

    Parameters
    ----------
    prompts, responses : sequences of str
        Row by row; a prompt occurs with two responses or more.
    rewards : array of shape (rows, groups)
        `TextReward.matrix(prompts, responses)`, or a fitted model's rewards.
    groups : sequence of str
        Names, in the order of the columns.

    Raises
    ------
    DataError
        Shapes do not fit, rewards are not finite, or a group prefers no response to another.

    Examples
    --------
    >>> pools = example_pools(["Hi?", "Hi?"], ["Hello.", "Go away."], [[1.0, 0.0], [0.0, 3.0]], ["kind", "rude"])
    >>> pools["rude"].to_frame().to_pylist()
    [{'prompt': 'Hi?', 'response': 'Go away.', 'margin': 1.5}]
    """
    names, values = check_groups(groups), np.asarray(rewards, dtype=np.float64)
    n = len(prompts)
    if len(responses) != n or values.shape != (n, len(names)) or not np.isfinite(values).all():
        raise DataError(
            f"Rewards of shape {values.shape} are not finite, or not of {n} prompts, {len(responses)} responses and "
            f"{len(names)} groups.",
            fix="Give a row for each pair of prompt and response, and a column for each group.",
        )
    place: dict[str, int] = {}
    code = np.array([place.setdefault(prompt, len(place)) for prompt in prompts], dtype=np.int64)
    asked = list(place)
    count = np.bincount(code, minlength=len(asked))
    pools = {}
    for k, name in enumerate(names):
        mean = np.bincount(code, weights=values[:, k], minlength=len(asked)) / count
        # By prompt, and in it the most liked first.
        order = np.lexsort((-values[:, k], code))
        best = order[np.searchsorted(code[order], np.arange(len(asked)))]
        margin = values[best, k] - mean
        kept = np.flatnonzero(margin > 1e-12 * np.abs(values[:, k]).max(initial=0.0))
        if not len(kept):
            raise DataError(
                f"The group {name!r} prefers no response to another of the same prompt.",
                fix="Give two responses or more of each prompt, which the group tells apart.",
            )
        pools[name] = ExamplePool(tuple(asked[i] for i in kept), tuple(responses[best[i]] for i in kept), margin[kept])
    return pools


def _mid_ranks(values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    ordered = np.sort(values)
    below, upto = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + upto) / (2 * len(values))


def _unit_rows(features: np.ndarray, n: int) -> Float[np.ndarray, "rows dim"]:
    if features.ndim != 2 or len(features) != n or not np.isfinite(features).all():
        raise DataError(
            f"Features of shape {features.shape} are not finite, or not of {n} prompts.",
            fix="Encode the prompts again.",
        )
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, norm, out=np.zeros_like(features), where=norm > 0)
