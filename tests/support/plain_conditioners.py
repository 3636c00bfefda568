"""Conditioners without a language model: texts are drawn from lists of words, so that experiments take no time."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pluralism.policy.lm.conditioning.best_of_n import BestOfN
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.experiment_run import condition
from pluralism.policy.lm.generations import Generations
from pluralism.random import as_generator

WORDS = ("short", "long", "warm", "cold")
GROUPS = ("a", "b", "c")
PROMPTS = tuple(f"What about topic {k}?" for k in range(11))
LENGTH = 6


def drawn(prompts, n, probabilities, rng):
    """Texts of six independent words for each prompt, with their log-probabilities."""
    generator = as_generator(rng, "words")
    codes = generator.choice(len(WORDS), p=probabilities, size=(len(prompts) * n, LENGTH))
    rows = len(codes)
    return Generations(
        prompts=tuple(prompts),
        prompt=np.repeat(np.arange(len(prompts)), n),
        sample=np.tile(np.arange(n), len(prompts)),
        texts=tuple(" ".join(WORDS[k] for k in row) for row in codes),
        tokens=tuple(tuple(row.tolist()) for row in codes),
        log_probs=np.log(np.asarray(probabilities))[codes].sum(axis=1),
        finished=np.ones(rows, dtype=bool),
    )


class PlainModel:
    """All words alike."""

    name = "plain"
    chances = np.full(len(WORDS), 0.25)

    def generate(self, prompts, *, n=1, rng=0, **_):
        return drawn(prompts, n, self.chances, rng)

    def prompt_tokens(self, prompt):
        return [0]

    def token_log_probs(self, prompts, responses):
        assert len(prompts) == len(responses)
        return SimpleNamespace(total=np.array([np.log(self.chances)[list(row)].sum() for row in responses]))


@dataclass(frozen=True, eq=False)
class Leaning:
    """Says the group's word more often: of group k the k-th."""

    strength: float = 1.0
    name: str = "leaning"
    groups: tuple[str, ...] = GROUPS
    log: Path | None = None
    seconds: float = 0.0

    def chances(self, group):
        weights = np.ones(len(WORDS))
        weights[GROUPS.index(group)] = np.exp(self.strength)
        return weights / weights.sum()

    def generate(self, prompts, group, *, n=1, rng=0, **_):
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{self.name}/{group}\t{prompts[0]}\n")
            time.sleep(self.seconds)
        return drawn(prompts, n, self.chances(group), rng)


@dataclass(frozen=True)
class WordJudge:
    """Group k likes the k-th word: counts it."""

    names: tuple[str, ...] = GROUPS
    shares: tuple[float, ...] = (0.5, 0.3, 0.2)

    def matrix(self, prompts, responses):
        return np.array([[float(text.split().count(WORDS[k])) for k in range(len(GROUPS))] for text in responses])


def count_word(word):
    """A reward for a group: how often a word is said."""
    return lambda prompts, responses: np.array([float(text.split().count(word)) for text in responses])


def run(folder, *, conditioners=None, prompts=PROMPTS, **settings):
    """An experiment in which conditioning works, with one single policy."""
    model = PlainModel()
    best = BestOfN(SinglePolicy(model, GROUPS), {g: count_word(WORDS[k]) for k, g in enumerate(GROUPS)}, 4)
    given = {"samples": 4, "block": 3, "bootstrap": 100, "optimised": ()} | settings
    return condition(
        model,
        [Leaning(), best] if conditioners is None else conditioners,
        WordJudge(),
        prompts,
        folder=folder,
        singles=[Leaning(0.0, name="single")],
        said="counting words",
        **given,
    )


if __name__ == "__main__":
    place, log, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    slow = [Leaning(log=log, seconds=seconds), Leaning(2.0, name="more", log=log, seconds=seconds)]
    run(place, conditioners=slow)
