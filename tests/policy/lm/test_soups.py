"""Soups are exact, PEFT's "linear" is not, and weights are on the simplex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import UsageError
from pluralism.policy.lm.adapter_bank import AdapterBank
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.shared_weights import same_body, weights_of
from pluralism.policy.lm.soups import _side_by_side, adapter_soup, model_soup

WEIGHTS = {"a": 0.5, "b": 0.2, "c": 0.3}


def drawn(base, settings, seed):
    """An adapter whose weights are all drawn, so that none of its changes is 0."""
    import peft

    network = peft.get_peft_model(base.copy().network, settings.config())
    generator = torch.Generator().manual_seed(seed)
    adapter = Adapter.of(network)
    return Adapter(
        adapter.config, {k: 0.1 * torch.randn(v.shape, generator=generator) for k, v in adapter.weights.items()}
    )


@pytest.fixture(scope="module")
def bank(tiny_lm):
    settings = {"a": Lora(rank=2), "b": Lora(rank=3, alpha=4), "c": Lora(rank=2, alpha=10)}
    return AdapterBank(tiny_lm, {group: drawn(tiny_lm, kind, k) for k, (group, kind) in enumerate(settings.items())})


def merged(model):
    return weights_of(Adapter.merged(model.network))


def test_the_soup_of_adapters_is_the_mean_of_their_changes(bank, tiny_lm):
    state = torch.random.get_rng_state()
    soup = adapter_soup(bank, WEIGHTS)
    assert torch.equal(state, torch.random.get_rng_state())
    parts = {group: merged(bank.model(group)) for group in bank.groups}
    changed = 0
    for name, weight in merged(soup).items():
        mean = sum(share * parts[group][name].double() for group, share in WEIGHTS.items())
        assert torch.allclose(weight.double(), mean, atol=1e-6), name
        changed += not torch.equal(weight, weights_of(tiny_lm.network)[name])
    assert changed == 14
    assert Adapter.of(soup.network).config.r == 7
    full = model_soup({group: bank.model(group) for group in bank.groups}, WEIGHTS)
    prompts, answers = models.PROMPTS, models.RESPONSES["warm"]
    assert soup.log_probs(prompts, answers).total == pytest.approx(full.log_probs(prompts, answers).total, rel=1e-4)


def test_linear_of_peft_is_another_policy(tiny_lm):
    """The trap: factors averaged apart leave cross terms. It takes equal ranks, so that PEFT lets it pass."""
    bank = AdapterBank(tiny_lm, {group: drawn(tiny_lm, Lora(rank=2), k) for k, group in enumerate("ab")})
    network = _side_by_side(bank)
    for kind in ("cat", "linear"):
        network.add_weighted_adapter(["default", "part1"], [0.5, 0.5], kind, combination_type=kind)
    layer = next(part for part in network.modules() if hasattr(part, "get_delta_weight") and "cat" in part.lora_A)
    exact = (layer.get_delta_weight("default") + layer.get_delta_weight("part1")) / 2
    assert torch.allclose(layer.get_delta_weight("cat"), exact, atol=1e-6)
    off = layer.get_delta_weight("linear") - exact
    assert off.norm() > 0.3 * exact.norm()
    cross = layer.get_delta_weight("linear") - exact
    a0, b0 = (getattr(layer, f"lora_{side}")["default"].weight for side in "AB")
    a1, b1 = (getattr(layer, f"lora_{side}")["part1"].weight for side in "AB")
    assert torch.allclose(cross, 0.5 * layer.scaling["default"] * (b0 @ a1 + b1 @ a0), atol=1e-6)


def test_a_corner_of_the_simplex_is_one_group(bank):
    soup = adapter_soup(bank, np.array([0.0, 1.0, 0.0]))
    for name, weight in merged(soup).items():
        assert torch.allclose(weight, merged(bank.model("b"))[name], atol=1e-7)
    assert Adapter.of(soup.network).config.r == 3


def test_the_soup_of_models_is_the_mean_of_their_weights(tiny_lm):
    noisy = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        weights = {
            k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in weights_of(tiny_lm.network).items()
        }
        noisy.append(replace(tiny_lm, network=same_body(tiny_lm.network, weights)))
    shares = (0.2, 0.3, 0.5)
    soup = model_soup(noisy, shares)
    for name, weight in weights_of(soup.network).items():
        mean = sum(
            w * weights_of(model.network)[name].double() for w, model in zip((0.2, 0.3, 0.5), noisy, strict=True)
        )
        assert torch.allclose(weight.double(), mean, atol=1e-7)
    held = {weight.data_ptr() for model in noisy for weight in model.network.parameters()}
    assert not held & {weight.data_ptr() for weight in soup.network.parameters()}
    tied = soup.network.get_output_embeddings().weight is soup.network.get_input_embeddings().weight
    assert tied == bool(tiny_lm.network.config.tie_word_embeddings)


def test_soups_that_cannot_be(bank, tiny_lm):
    for weights in ([0.5, 0.5], [0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]):
        with pytest.raises(UsageError, match="not on the simplex"):
            adapter_soup(bank, weights)
    with pytest.raises(UsageError, match="without the other: c, d"):
        adapter_soup(bank, {"a": 0.5, "b": 0.2, "d": 0.3})
    with pytest.raises(UsageError, match="not on the simplex"):
        model_soup([], [])
    prompts = AdapterBank(tiny_lm, {"a": drawn(tiny_lm, PromptTuning(tokens=2), 0)})
    with pytest.raises(UsageError, match="no plain LoRA"):
        adapter_soup(prompts, [1.0])
    with pytest.raises(UsageError, match="cannot be merged"):
        model_soup([prompts.model("a")], [1.0])
    smaller = tiny_lm.copy()
    smaller.network.model.layers = smaller.network.model.layers[:1]
    with pytest.raises(UsageError, match=r"differ in 'model\.layers\.1"):
        model_soup([tiny_lm, smaller], [0.5, 0.5])
