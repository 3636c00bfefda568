"""The rounds of directional tuning: draw directions, keep the best sample of each, imitate it, look at the front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.errors import DataError, UsageError
from pluralism.models.pareto import best_of_n
from pluralism.policy.lm.direction_samples import Kept, Shown, from_start, usable
from pluralism.policy.lm.directional_run import DirectionalRun
from pluralism.policy.lm.run_folder import RunFolder
from pluralism.solvers.sphere import cone_directions

if TYPE_CHECKING:
    from pluralism.policy.lm.directional_tuning import DirectionalTuning
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["DirectionalRounds", "Score"]

Score = Callable[[Sequence[str], Sequence[str]], Any]
"""Attributes of responses to prompts, an array of shape (rows, attributes), such as `TextReward.matrix`."""

DIRECTIONS, DRAWS, SHOWN, BOOTSTRAP = 1, 2, 3, 4
"""Streams of random numbers, beside the number of a round."""

CHECKED = 4
"""Responses that are scored again when a run goes on."""


@dataclass(frozen=True, eq=False)
class DirectionalRounds:
    """One run of a `DirectionalTuning`, whose attributes say what is what.

    Attributes
    ----------
    recipe : DirectionalTuning
    start : LanguageModel
    prompts, evaluation : tuples of str
    score, judge : callable
    pool : (prompts, responses) or None
        Of the warm-up.
    folder : RunFolder
    progress : callable or None
    """

    recipe: DirectionalTuning
    start: LanguageModel
    prompts: tuple[str, ...]
    evaluation: tuple[str, ...]
    score: Score
    judge: Score
    pool: tuple[tuple[str, ...], tuple[str, ...]] | None
    folder: RunFolder
    progress: Callable[[str], object] | None

    def run(self) -> DirectionalRun:
        """All rounds, or those that are left."""
        current, rounds = self.start, [self._show(self.start, 0)]
        scale = self._scale(rounds[0])
        for number in range(1, self.recipe.n_rounds + (self.pool is not None) + 1):
            if not self.folder.has(number):
                kept = self._kept(current, number, scale)
                self._tell(f"round {number}: fine-tuning on {len(kept.responses):,} responses")
                self.folder.publish(number, self.recipe.tuning.train(current, kept.rows(), self.folder.scratch(number)))
            # from the disk also where it was never left, so that a run that goes on is the same
            current = type(self.start).load(
                self.folder.place(number), device=str(self.start.network.device), dtype=_dtype(self.start.network)
            )
            rounds.append(self._show(current, number))
        return self._result(rounds)

    def _show(self, current: LanguageModel, number: int) -> Shown:
        """Responses to the evaluation prompts under the shown directions, kept in the folder."""
        recipe, key = self.recipe, f"shown {number}"
        asked = list(self.evaluation) * len(recipe.directions)
        held = self.folder.parts.get(key)
        if held is not None:
            shown = Shown.from_arrays(held[0])
            if number == 0:
                self._same(self.judge, shown, shown.values, "judge")
            return shown
        self._tell(f"round {number}: the front of {len(recipe.directions)} directions")
        systems = [recipe.system_message(v) for v in recipe.directions for _ in self.evaluation]
        drawn = current.generate(
            asked,
            n=recipe.samples,
            max_tokens=recipe.max_tokens,
            system=systems,
            # the same draws in each round, so that rounds differ by their policies alone
            rng=np.random.default_rng([recipe.rng, SHOWN]),
        )
        ratio = np.zeros(len(drawn)) if number == 0 else from_start(self.start, drawn, systems)
        values = self._scores(self.judge, drawn.prompt_texts, drawn.texts)
        shown = Shown(drawn.texts, values, drawn.n_tokens, ratio)
        self.folder.parts.put(key, shown.to_arrays())
        return shown

    def _scale(self, shown: Shown) -> Float[np.ndarray, " attributes"]:
        """What attributes are divided by before directions weigh them, where responses are chosen."""
        held = self.folder.parts.get("scale")
        if held is not None:
            self._same(self.score, shown, held[0]["checked"], "score")
            return held[0]["scale"]
        values = shown.values if self.score is self.judge else self._scores(self.score, self._asked(shown), shown.texts)
        scale = self._unit(values)[1]
        self.folder.parts.put("scale", {"scale": scale, "checked": values[:CHECKED]})
        return scale

    def _kept(self, current: LanguageModel, number: int, scale: Float[np.ndarray, " attributes"]) -> Kept:
        """What this round imitates: for each prompt and each of its directions the best response by it."""
        held = self.folder.parts.get(f"kept {number}")
        if held is not None:
            return Kept.from_arrays(held[0])
        recipe = self.recipe
        given = self.pool if number == 1 else None
        prompts = self.prompts if given is None else tuple(dict.fromkeys(given[0]))
        asked = [prompt for prompt in prompts for _ in range(recipe.directions_per_prompt)]
        v = cone_directions(
            len(asked),
            len(recipe.attributes),
            rng=np.random.default_rng([recipe.rng, DIRECTIONS, number]),
            centre=recipe.axis,
            angle=recipe.angle,
        )
        systems = [recipe.system_message(each) for each in v]
        if given is None:
            self._tell(f"round {number}: {recipe.n} responses to each of {len(asked):,} prompts and directions")
            drawn = current.generate(
                asked,
                n=recipe.n,
                max_tokens=recipe.max_tokens,
                temperature=recipe.temperature,
                top_p=recipe.top_p,
                system=systems,
                rng=np.random.default_rng([recipe.rng, DRAWS, number]),
            )
            group, texts = drawn.prompt, drawn.texts
            values = self._scores(self.score, drawn.prompt_texts, texts)
            able = usable(drawn)
        else:
            group, texts, values = self._given(given, prompts)
            able = np.array([bool(text.strip()) for text in texts])
        reward = np.where(able, np.sum(values / scale * v[group], axis=1), -np.inf)
        best = best_of_n(reward, group, len(asked))
        found = [k for k, row in enumerate(best) if row >= 0 and reward[row] > -np.inf]
        if not found:
            raise DataError(
                f"No response of round {number} can be kept: all were cut at {recipe.max_tokens} tokens, or are blank.",
                fix="Raise max_tokens, or start from a model that ends its answers.",
            )
        kept = Kept(
            tuple(asked[k] for k in found), tuple(systems[k] for k in found), tuple(texts[best[k]] for k in found)
        )
        self.folder.parts.put(f"kept {number}", kept.to_arrays())
        return kept

    def _given(
        self, pool: tuple[tuple[str, ...], tuple[str, ...]], prompts: tuple[str, ...]
    ) -> tuple[np.ndarray, tuple[str, ...], Float[np.ndarray, "rows attributes"]]:
        """Every given response once for each direction of its prompt."""
        texts = pool[1]
        values = self._scores(self.score, pool[0], texts)
        place = {prompt: k for k, prompt in enumerate(prompts)}
        prompt = np.array([place[each] for each in pool[0]])
        m = self.recipe.directions_per_prompt
        group = (prompt[:, None] * m + np.arange(m)).ravel()
        row = np.repeat(np.arange(len(texts)), m)
        return group, tuple(texts[k] for k in row), values[row]

    def _result(self, rounds: Sequence[Shown]) -> DirectionalRun:
        recipe = self.recipe
        directions, n_prompts = recipe.directions, len(self.evaluation)
        shape = (len(directions), n_prompts, recipe.samples)
        mean, scale = self._unit(rounds[0].values)
        taken = np.stack([((each.values - mean) / scale).reshape(*shape, -1).mean(axis=2) for each in rounds])
        both = (directions > 0).any(axis=0) & (directions < 0).any(axis=0)
        start = taken[0].mean(axis=(0, 1))
        point = np.where(both, start, start - 1.0) if recipe.reference is None else np.array(recipe.reference, float)
        generator = np.random.default_rng([recipe.rng, BOOTSTRAP])
        counts = generator.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), recipe.n_bootstrap) / n_prompts
        return DirectionalRun(
            tuple(recipe.attributes),
            directions,
            taken,
            np.stack([each.n_tokens.reshape(len(directions), -1).mean(axis=1) for each in rounds]),
            np.stack([each.log_ratio.reshape(len(directions), -1).mean(axis=1) for each in rounds]),
            point,
            counts,
            tuple(self.folder.place(k) for k in range(1, len(rounds))),
        )

    def _unit(
        self, values: Float[np.ndarray, "rows attributes"]
    ) -> tuple[Float[np.ndarray, " attributes"], Float[np.ndarray, " attributes"]]:
        """Zero and unit of attributes: mean and standard deviation of the start's responses, or 0 and 1."""
        k = values.shape[1]
        if self.recipe.unit == "raw":
            return np.zeros(k), np.ones(k)
        deviation = values.std(axis=0)
        flat = [name for name, sd in zip(self.recipe.attributes, deviation, strict=True) if not sd > 0]
        if flat:
            raise DataError(
                f"All responses of the start have the same {flat[0]!r}, so there is nothing to choose by.",
                fix="Start from a model whose responses differ, or draw at a higher temperature.",
            )
        return values.mean(axis=0), deviation

    def _scores(
        self, score: Score, prompts: Sequence[str], texts: Sequence[str]
    ) -> Float[np.ndarray, "rows attributes"]:
        values = np.asarray(score(prompts, texts), dtype=np.float64)
        expected = (len(texts), len(self.recipe.attributes))
        if values.shape != expected or not np.isfinite(values).all():
            raise DataError(
                f"A score of shape {values.shape} does not fit {expected[0]:,} responses and {expected[1]} attributes, "
                "or is not finite.",
                fix="It takes prompts and responses and gives one row for each response.",
            )
        return values

    def _same(self, score: Score, shown: Shown, held: Float[np.ndarray, "rows attributes"], name: str) -> None:
        again = self._scores(score, self._asked(shown)[:CHECKED], shown.texts[:CHECKED])
        if not np.allclose(again, held[:CHECKED], rtol=1e-4, atol=1e-6):
            raise UsageError(
                f"The {name} is not the one that the run began with.",
                where=str(self.folder.folder),
                fix="Give the same one, or choose an empty folder.",
            )

    def _asked(self, shown: Shown) -> tuple[str, ...]:
        each = [prompt for prompt in self.evaluation for _ in range(self.recipe.samples)]
        return tuple(each * (len(shown.texts) // len(each)))

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what)


def _dtype(network: Any) -> str:
    return str(network.dtype).removeprefix("torch.")
