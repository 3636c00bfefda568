"""Mutual information of principles and responses: a model that heeds them, one that does not, and wrong inputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_lm as models

from pluralism.errors import UsageError
from pluralism.policy.lm.principle_information import constitution_mi, score_matrices


def test_a_model_that_heeds_its_principles_gives_them_away(tiny_lm):
    found = constitution_mi(tiny_lm, models.PROMPTS, models.SYSTEMS, samples=4, max_tokens=40)
    assert found.recognised > 0.9 and found.value > 0.5 * np.log(2)
    assert found.low <= found.value <= found.high <= found.most == pytest.approx(np.log(2))
    assert found.told.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert (found.n_prompts, found.n_samples) == (4, 4)
    assert found.to_frame().column("taken_for_warm").to_pylist() == pytest.approx(found.told[:, 1].tolist())
    assert json.loads(found.to_json())["mutual_information"] == pytest.approx(found.value)
    assert "of responses recognised" in repr(found)


def test_words_that_say_the_same_to_it_give_nothing_away(tiny_lm):
    class Deaf(type(tiny_lm)):
        def prompt_tokens(self, prompt, *, system=None, examples=()):
            return super().prompt_tokens(prompt, examples=examples)

    deaf = Deaf(tiny_lm.network, tiny_lm.tokenizer, "deaf")
    found = constitution_mi(deaf, models.PROMPTS, models.SYSTEMS, samples=3, max_tokens=40)
    assert found.value == pytest.approx(0.0, abs=1e-5)


def test_entries_are_the_log_probabilities_of_the_model(tiny_lm):
    systems = tuple(models.SYSTEMS.values())
    options = {"samples": 2, "max_tokens": 30, "temperature": 1.0}
    found = score_matrices(
        tiny_lm, models.PROMPTS[:2], systems, **options, length_normalised=False, rng=np.random.default_rng(3)
    )
    drawn = tiny_lm.generate(
        [prompt for prompt in models.PROMPTS[:2] for _ in systems],
        n=2,
        max_tokens=30,
        system=list(systems) * 2,
        rng=np.random.default_rng(3),
    )
    assert found.shape == (2, 2, 2, 2)
    own = found.diagonal(0, 2, 3)  # prompts, samples, principles
    np.testing.assert_allclose(own.transpose(0, 2, 1).ravel(), drawn.log_probs, atol=1e-4)
    row = 5  # second prompt, first principle, second sample
    other = tiny_lm.token_log_probs([tiny_lm.prompt_tokens(models.PROMPTS[1], system=systems[1])], [drawn.tokens[row]])
    assert found[1, 1, 1, 0] == pytest.approx(other.total[0], abs=1e-4)


@pytest.mark.parametrize("constitutions", [{"a": "Be kind."}, {"a": "Be kind.", "b": "Be kind."}])
def test_two_different_principles_are_needed(tiny_lm, constitutions):
    with pytest.raises(UsageError, match="different principles"):
        constitution_mi(tiny_lm, models.PROMPTS, constitutions)


def test_samples_are_counted(tiny_lm):
    with pytest.raises(UsageError, match="samples=0"):
        constitution_mi(tiny_lm, models.PROMPTS, models.SYSTEMS, samples=0)
