"""Hindsight feedback: a judge that sees what came of a response, beside one that has to guess.

Who rates a response before its consequences are known rates what it promises. Here a world model draws outcomes of each
response, a judge rates the response with an outcome before it, and the label is the mean over outcomes.

References
----------
K. Liang et al., RLHS: Mitigating Misalignment in RLHF with Hindsight Simulation, arXiv 2501.08617, 2025.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.elicitation.neighbours.in_parallel import checked_workers, in_parallel
from pluralism.errors import DataError, UsageError
from pluralism.evaluation.bootstrap import interval, resample_users
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items, Ratings

__all__ = ["ForesightGap", "HindsightJudge", "HindsightRatings", "Judge", "World"]

World = Callable[[str, str, int, np.random.Generator], Sequence[str]]
"""Draws outcomes: takes a prompt, a response, and how many, each as it may come if the response is followed."""

Judge = Callable[[str, str, str | None], float]
"""Rates a response to a prompt, given an outcome, or None where the outcome is not known yet."""


@dataclass(frozen=True)
class ForesightGap:
    """How much more ratings promise than there is.

    Attributes
    ----------
    foresight, hindsight : (mean, low, high)
        Mean rating less true utility, with intervals over responses; 0 for ratings that promise what there is.
    level : float
    """

    foresight: tuple[float, float, float]
    hindsight: tuple[float, float, float]
    level: float

    def to_frame(self) -> pa.Table:
        """Columns `rating, gap, low, high`."""
        rows = (self.foresight, self.hindsight)
        names = ("gap", "low", "high")
        return pa.table(
            {"rating": ["foresight", "hindsight"], **{name: [row[i] for row in rows] for i, name in enumerate(names)}}
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, and the level."""
        return json.dumps({"level": self.level, "gaps": self.to_frame().to_pylist()}, indent=indent)


@dataclass(frozen=True, eq=False, repr=False)
class HindsightRatings:
    """Ratings of responses with and without knowledge of what came of them.

    Attributes
    ----------
    items : Items
    foresight : array of shape (items,)
        Ratings with no outcome.
    utility : array of shape (items, outcomes)
        Ratings with each outcome.
    outcomes : tuple of tuple of str
        What was drawn for each item.
    """

    items: Items
    foresight: Float[np.ndarray, " items"]
    utility: Float[np.ndarray, "items outcomes"]
    outcomes: tuple[tuple[str, ...], ...]

    @property
    def hindsight(self) -> Float[np.ndarray, " items"]:
        """Mean rating over outcomes."""
        return self.utility.mean(axis=1)

    @property
    def standard_error(self) -> Float[np.ndarray, " items"]:
        """Of `hindsight`, over outcomes; NaN where one was drawn."""
        n = self.utility.shape[1]
        return self.utility.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(self.utility), np.nan)

    def gap(
        self, true_utility: Sequence[float] | np.ndarray, *, level: float = 0.95, n_bootstrap: int = 1000, rng: RNG = 0
    ) -> ForesightGap:
        """How much more both kinds of rating promise than there is.

        Parameters
        ----------
        true_utility : array of shape (items,)
            On the scale of the judge.
        level : float
        n_bootstrap : int
            Resamples of the responses.
        rng : int, Generator or None
        """
        truth = np.asarray(true_utility, dtype=np.float64)
        if truth.shape != self.foresight.shape or not np.isfinite(truth).all():
            raise DataError(
                f"True utilities have shape {truth.shape}; {self.foresight.shape} finite numbers are needed.",
                fix="Give one for each response.",
            )
        over = np.stack([self.foresight - truth, self.hindsight - truth], axis=1)
        blocks = resample_users(len(truth), n_bootstrap, as_generator(rng, "gap"))
        draws = np.concatenate([weights @ over / len(truth) for weights in blocks])
        spans = [(float(over[:, k].mean()), *interval(draws[:, k], level)) for k in range(2)]
        return ForesightGap(spans[0], spans[1], level)

    def to_ratings(self) -> Ratings:
        """Ratings by two users, "foresight" and "hindsight"."""
        from pluralism.data import Ratings

        n = len(self.foresight)
        return Ratings(
            items=self.items,
            users=["foresight", "hindsight"],
            user=np.repeat([0, 1], n),
            item=np.tile(np.arange(n), 2),
            value=np.concatenate([self.foresight, self.hindsight]),
        )

    def to_comparisons(self) -> Comparisons:
        """What each of the two users prefers, among responses to one prompt (all, where there are no prompts)."""
        return self.to_ratings().to_comparisons(within="user" if self.items.prompts is None else "prompt")

    def to_frame(self) -> pa.Table:
        """Columns `item, foresight, hindsight, standard_error`."""
        error = self.standard_error
        return pa.table(
            {
                "item": self.items.ids,
                "foresight": self.foresight,
                "hindsight": self.hindsight,
                "standard_error": pa.array(error, mask=np.isnan(error)),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`, each with its outcomes and their ratings."""
        rows = zip(self.to_frame().to_pylist(), self.outcomes, self.utility.tolist(), strict=True)
        return {"responses": [{**row, "outcomes": list(drawn), "utility": worth} for row, drawn, worth in rows]}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n, k = self.utility.shape
        moved = float(np.mean(self.hindsight - self.foresight)) if n else 0.0
        return f"HindsightRatings({n:,} responses, {k} outcomes each; hindsight is {moved:+.3g} on average)"


class HindsightJudge:
    """Rates responses by what came of them.

    Parameters
    ----------
    world : callable
        As `World`; `chat_world` makes one of a language model.
    judge : callable
        As `Judge`; `chat_judge` makes one of a language model.
    n_outcomes : int
        Drawn for each response.
    workers : int
        Responses rated at once.
    """

    def __init__(self, world: World, judge: Judge, *, n_outcomes: int = 8, workers: int = 1) -> None:
        if n_outcomes < 1:
            raise UsageError(f"n_outcomes={n_outcomes!r} is not possible.", fix="Draw one or more.")
        self.world, self.judge, self.n_outcomes = world, judge, n_outcomes
        self.workers = checked_workers(workers)

    def __repr__(self) -> str:
        return f"HindsightJudge(n_outcomes={self.n_outcomes})"

    def rate(self, items: Items, *, rng: RNG = 0) -> HindsightRatings:
        """Rate responses with and without their outcomes.

        Parameters
        ----------
        items : Items
            Responses with texts; those without a prompt answer an empty one.
        rng : int, Generator or None
            What the world draws from.

        Raises
        ------
        DataError
            If the items have no texts, the world draws too few outcomes, or the judge gives no number.
        """
        if items.texts is None:
            raise DataError("The items have no texts.", fix="Give the responses as texts.")
        generator = as_generator(rng, "outcomes")
        texts = items.texts.to_pylist()
        prompts = [""] * len(texts) if items.prompts is None else [text or "" for text in items.prompts.to_pylist()]

        def one(number: int, own: np.random.Generator) -> tuple[float, list[float], tuple[str, ...]]:
            prompt, response = prompts[number], texts[number]
            drawn = tuple(map(str, self.world(prompt, response, self.n_outcomes, own)))
            if len(drawn) != self.n_outcomes:
                raise DataError(
                    f"The world drew {len(drawn)} outcomes of {self.n_outcomes}.",
                    where=f"response {number}",
                    fix="Let it draw as many as it is asked for.",
                )
            foresight = self._rated(prompt, response, None)
            return foresight, [self._rated(prompt, response, outcome) for outcome in drawn], drawn

        rated = in_parallel(one, range(len(texts)), self.workers, generator)
        foresight = np.array([guess for guess, _, _ in rated], dtype=np.float64)
        utility = np.array([worth for _, worth, _ in rated], dtype=np.float64).reshape(len(texts), self.n_outcomes)
        return HindsightRatings(items, foresight, utility, tuple(drawn for _, _, drawn in rated))

    def _rated(self, prompt: str, response: str, outcome: str | None) -> float:
        value = float(self.judge(prompt, response, outcome))
        if not np.isfinite(value):
            raise DataError(f"The judge rates with {value!r}.", fix="Rate with finite numbers.")
        return value
