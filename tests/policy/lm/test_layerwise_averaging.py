"""Averaging by layers: the mean ratio holds, the best ratios are found, and what hurts is given back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.layerwise_averaging import layerwise_average
from pluralism.policy.lm.shared_weights import same_body, weights_of

PROMPTS, ANSWERS = models.PROMPTS, models.RESPONSES["plain"]


@pytest.fixture(scope="module")
def spoilt(tiny_lm):
    """The tiny model with noise on its last layer."""
    noise = torch.Generator().manual_seed(3)
    weights = {
        name: weight + (0.4 * torch.randn(weight.shape, generator=noise) if "layers.1." in name else 0)
        for name, weight in weights_of(tiny_lm.network).items()
    }
    return replace(tiny_lm, network=same_body(tiny_lm.network, weights), name="spoilt")


def mean_log_prob(model):
    found = model.log_probs(PROMPTS, ANSWERS)
    return found.total.sum() / found.n_tokens.sum()


def by_ratios(start, tuned, first, last):
    old, new = weights_of(start.network), weights_of(tuned.network)
    last_block = {name for name in old if "layers.1." in name or name.startswith(("model.norm", "lm_head"))}
    mixed = {k: old[k] + (last if k in last_block else first) * (new[k] - old[k]) for k in old}
    return replace(start, network=same_body(start.network, mixed))


def test_the_best_ratios_are_found(tiny_lm, spoilt):
    found = layerwise_average(tiny_lm, spoilt, PROMPTS, ANSWERS, blocks=2, ratio=0.5, steps=60, learning_rate=0.3)
    assert found.ratios.mean() == pytest.approx(0.5, abs=1e-6)
    assert found.ratios[0] > 0.9 and found.ratios[1] < 0.1
    assert found.log_prob > found.uniform_log_prob
    assert found.log_prob == pytest.approx(mean_log_prob(found.model), rel=1e-5)
    assert found.uniform_log_prob == pytest.approx(mean_log_prob(by_ratios(tiny_lm, spoilt, 0.5, 0.5)), rel=1e-5)
    grid = [mean_log_prob(by_ratios(tiny_lm, spoilt, 1 - last, last)) for last in np.linspace(0, 1, 11)]
    assert found.log_prob > max(grid) - 0.02
    assert [part for part in found.layers] == [range(0, 1), range(1, 2)]
    assert found.to_frame()["ratio"].to_pylist() == found.ratios.tolist()
    assert json.loads(found.to_json())["blocks"][0]["first_layer"] == 0
    assert repr(found).startswith("LayerwiseAverage(ratios")


def test_equal_models_keep_equal_ratios(tiny_lm):
    found = layerwise_average(tiny_lm, tiny_lm, PROMPTS, ANSWERS, blocks=2, ratio=0.3, steps=2)
    assert found.ratios == pytest.approx([0.3, 0.3])
    assert found.log_prob == pytest.approx(found.uniform_log_prob)


def test_the_best_rewarded_answer_of_each_prompt_is_learnt_from(tiny_lm, spoilt):
    prompts = PROMPTS + PROMPTS
    both = models.RESPONSES["warm"] + ANSWERS
    rewards = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    options = {"blocks": 2, "steps": 3, "rng": 5}
    chosen = layerwise_average(tiny_lm, spoilt, prompts, both, rewards=rewards, **options)
    alone = layerwise_average(tiny_lm, spoilt, PROMPTS, ANSWERS, **options)
    assert chosen.ratios.tolist() == alone.ratios.tolist()


def test_what_cannot_be_averaged(tiny_lm, spoilt):
    for wrong in ({"ratio": 1.0}, {"blocks": 3}, {"steps": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))}="):
            layerwise_average(tiny_lm, spoilt, PROMPTS, ANSWERS, **{"blocks": 2, **wrong})
    with pytest.raises(DataError, match="4 prompts and 0 responses"):
        layerwise_average(tiny_lm, spoilt, PROMPTS, [], blocks=2)
    with pytest.raises(DataError, match="Rewards of shape"):
        layerwise_average(tiny_lm, spoilt, PROMPTS, ANSWERS, rewards=[1.0], blocks=2)
    smaller = tiny_lm.copy()
    smaller.network.model.layers = smaller.network.model.layers[:1]
    with pytest.raises(UsageError, match="differ in their layers"):
        layerwise_average(tiny_lm, smaller, PROMPTS, ANSWERS, blocks=2)
