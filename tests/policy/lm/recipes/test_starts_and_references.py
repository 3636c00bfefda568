"""Starts that have adapters or other number formats, and references other than the start."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralism.errors import UsageError
from pluralism.policy.lm import train_from_scratch
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.recipes import DPO, training_history
from pluralism.policy.lm.shared_weights import weights_of

KINDS = {"lora": (Lora(rank=2), 1e-2), "prompt": (PromptTuning(tokens=4), 0.1)}


class Stopped(Exception):
    """A stand-in for a kill."""


@pytest.fixture(scope="module", params=list(KINDS))
def adapted(request, tiny_lm, pairs, tmp_path_factory):
    adapter, rate = KINDS[request.param]
    recipe = DPO(max_steps=3, batch_size=4, learning_rate=rate, adapter=adapter, save_every=1, log_every=1)
    return recipe, recipe.train(tiny_lm, pairs, tmp_path_factory.mktemp("adapted"), group="a")


@pytest.mark.slow
def test_an_adapter_is_trained_further_beside_itself(adapted, pairs, tiny_lm, tmp_path):
    recipe, start = adapted
    before = {name: weight.clone() for name, weight in weights_of(start.network).items()}

    def stop(done, total):
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        recipe.train(start, pairs, tmp_path / "stopped", group="a", progress=stop)
    steps = []
    further = recipe.train(
        start, pairs, tmp_path / "stopped", group="a", progress=lambda done, total: steps.append(done)
    )
    assert steps == [2, 3]
    whole = recipe.train(start, pairs, tmp_path / "whole", group="a")
    for name, weight in weights_of(further.network).items():
        assert torch.equal(weight, weights_of(whole.network)[name])
    for name, weight in weights_of(start.network).items():
        assert torch.equal(weight, before[name])
    assert training_history(tmp_path / "whole")["loss"][0].as_py() == pytest.approx(np.log(2), rel=1e-5)
    losses = [recipe.loss(model, pairs, group="a", reference=tiny_lm) for model in (further, start, tiny_lm)]
    assert losses == sorted(losses)


def test_all_weights_from_a_start_with_an_adapter(adapted, pairs, tmp_path):
    recipe, start = adapted
    whole = DPO(max_steps=2, batch_size=4, learning_rate=1e-3)
    if isinstance(recipe.adapter, PromptTuning):
        with pytest.raises(UsageError, match="cannot be merged"):
            whole.train(start, pairs, tmp_path, group="a")
        with pytest.raises(UsageError, match="tuned prompt cannot be the reference"):
            whole.loss(start, pairs)
        return
    trained = whole.train(start, pairs, tmp_path, group="a")
    assert not Adapter.is_on(trained.network)
    assert whole.loss(trained, pairs, group="a", reference=start) < np.log(2)
    assert whole.loss(start, pairs, group="a") == pytest.approx(np.log(2), rel=1e-5)


@pytest.mark.parametrize("adapter", [None, Lora(rank=2)])
def test_a_start_in_bfloat16_keeps_its_format(tiny_lm, pairs, tmp_path, adapter):
    half = replace(tiny_lm, network=tiny_lm.copy().network.to(torch.bfloat16))
    recipe = DPO(max_steps=3, batch_size=4, learning_rate=1e-3 if adapter is None else 1e-2, adapter=adapter)
    trained = recipe.train(half, pairs, tmp_path, group="a")
    assert trained.network.dtype == torch.bfloat16
    assert recipe.loss(trained, pairs, group="a", reference=half) < 0.65
    again = recipe.train(half, pairs, tmp_path, group="a")
    for name, weight in weights_of(again.network).items():
        assert torch.equal(weight, weights_of(trained.network)[name])


def test_a_reference_other_than_the_start(tiny_lm, other_lm, pairs, log_ratios, tmp_path):
    recipe = DPO(max_steps=1, batch_size=4, learning_rate=1e-3, log_every=1, beta=0.3)
    recipe.train(other_lm, pairs, tmp_path, group="a", reference=tiny_lm)
    rows = pairs[:4]
    prompts = [row["prompt"] for row in rows]
    chosen, rejected = (log_ratios(prompts, [row[side] for row in rows])[0] for side in ("chosen", "rejected"))
    by_hand = np.logaddexp(0, -0.3 * (chosen - rejected)).mean()
    assert training_history(tmp_path)["loss"][0].as_py() == pytest.approx(by_hand, rel=1e-4)
    with pytest.raises(UsageError, match="other reference"):
        recipe.train(other_lm, pairs, tmp_path, group="a")


def test_a_reference_reads_the_same_tokens(tiny_lm, pairs, tmp_path):
    stranger = train_from_scratch(["a"], ["b"], vocabulary=300, hidden=16, layers=1, steps=1, device="cpu")
    # Of the same size, but not the same tokens.
    swapped = copy.deepcopy(tiny_lm.tokenizer)
    swapped.add_tokens(["something"])
    for other in (stranger, replace(tiny_lm, tokenizer=swapped)):
        with pytest.raises(UsageError, match="different tokens"):
            DPO(max_steps=1).train(tiny_lm, pairs, tmp_path / "run", reference=other)
        with pytest.raises(UsageError, match="different tokens"):
            DPO().loss(tiny_lm, pairs, reference=other)
    assert not (tmp_path / "run").exists()


def test_layers_that_a_lora_cannot_change(tiny_lm, pairs, tmp_path):
    for layer, what in {"lm_head": "the output head", "attention": "no layer"}.items():
        with pytest.raises(UsageError, match=f"it is {what}"):
            DPO(adapter=Lora(layers=("q_proj", layer))).train(tiny_lm, pairs, tmp_path / "run")
    trained = DPO(adapter=Lora(layers=("q_proj",)), max_steps=1).train(tiny_lm, pairs, tmp_path / "run")
    assert all("q_proj" in name for name in Adapter.of(trained.network).weights)


@pytest.mark.parametrize("adapter", [None, Lora(rank=2)])
def test_what_saves_memory_changes_nothing(tiny_lm, pairs, tmp_path, adapter):
    settings = {"max_steps": 2, "learning_rate": 1e-3, "adapter": adapter}
    ways = {
        "plain": DPO(**settings, batch_size=4),
        "checkpointing": DPO(**settings, batch_size=4, gradient_checkpointing=True),
        "accumulation": DPO(**settings, batch_size=2, accumulation=2),
    }
    trained = {name: way.train(tiny_lm, pairs, tmp_path / name, group="a") for name, way in ways.items()}
    weights = {name: weights_of(model.network) for name, model in trained.items()}
    for name, weight in weights["plain"].items():
        assert torch.equal(weight, weights["checkpointing"][name])
        assert torch.allclose(weight, weights["accumulation"][name], atol=2e-4)
