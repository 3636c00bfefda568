"""The same on models of other kinds: absolute positions, tuned adapters, tuned prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lm import PROMPTS, RESPONSES

from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.conditioning import (
    ContrastiveDecoding,
    ContrastiveGuidance,
    RewardGuided,
    SteeringVector,
    attribute_margin,
    extrapolated_logits,
)


def gpt2(model, seed):
    """Random weights; positions are absolute, so that padding on the left must be told."""
    from transformers import GPT2Config, GPT2LMHeadModel

    size = model.network.config.vocab_size
    config = GPT2Config(vocab_size=size, n_positions=256, n_embd=32, n_layer=3, n_head=2, initializer_range=0.4)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return replace(model, network=GPT2LMHeadModel(config).eval(), name=f"gpt2 {seed}")


def adapted(model, kind):
    """The model with an adapter of random weights."""
    import peft

    settings = (Lora(rank=2) if kind == "lora" else PromptTuning(tokens=3)).config()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = peft.get_peft_model(model.copy().network, settings).eval()
        for name, weights in network.named_parameters():
            if "lora_" in name or "prompt" in name:
                weights.data.normal_(0, 0.1)
    return replace(model, network=network, name=kind)


def log_probs(model, tokens):
    with torch.no_grad():
        return torch.log_softmax(model.network(input_ids=torch.tensor([tokens])).logits[0, -1].double(), 0)


@pytest.fixture(scope="module")
def two(tiny_lm):
    return gpt2(tiny_lm, 0), gpt2(tiny_lm, 1)


@pytest.mark.parametrize(("kind", "first"), [("gpt2", True), ("lora", True), ("prompt", True), ("prompt", False)])
def test_contrast_by_hand(tiny_lm, two, kind, first):
    policy, other = two if kind == "gpt2" else (tiny_lm, adapted(tiny_lm, kind))
    policy, other = (policy, other) if first else (other, policy)
    made = ContrastiveDecoding({"a": policy}, other, scale=1.8).generate(PROMPTS, "a", max_tokens=5, rng=3)
    for prompt, tokens, found in zip(made.prompt_texts, made.tokens, made.log_probs, strict=True):
        whole, total = policy.prompt_tokens(prompt), 0.0
        for token in tokens:
            logits = extrapolated_logits(log_probs(policy, whole), log_probs(other, whole), 1.8)
            total += float(torch.log_softmax(logits, 0)[token])
            whole = [*whole, token]
        assert found == pytest.approx(total, abs=5e-3)


@pytest.mark.parametrize("kind", ["gpt2", "lora", "prompt"])
def test_steering(tiny_lm, two, kind):
    model = two[0] if kind == "gpt2" else adapted(tiny_lm, kind)
    pairs = (PROMPTS, RESPONSES["warm"], RESPONSES["plain"])
    before = model.log_probs(*pairs[:2]).total
    vector = SteeringVector.from_pairs(model, *pairs)
    found = attribute_margin(model, vector, *pairs, steps=24)
    margin = model.log_probs(pairs[0], pairs[1], end=False).mean - model.log_probs(pairs[0], pairs[2], end=False).mean
    assert found.start == pytest.approx(margin.mean(), abs=1e-4)
    assert abs(found.residual) < 0.02 * max(abs(found.end - found.start), np.abs(found.values).max())
    with vector.applied(model, 3.0):
        assert not np.allclose(model.log_probs(*pairs[:2]).total, before)
    np.testing.assert_array_equal(model.log_probs(*pairs[:2]).total, before)


@pytest.mark.parametrize("kind", ["gpt2", "prompt"])
def test_guidance_is_greedy_in_what_it_reaches(tiny_lm, two, kind):
    """With a strong reward of the whole text each step takes the best of all that it looked at."""
    model = two[0] if kind == "gpt2" else adapted(tiny_lm, kind)

    def reward(prompts, responses):
        return [sum(map(ord, text)) % 101 for text in responses]

    guided = RewardGuided(model, {"a": reward}, strength=100.0, top_k=3, lookahead=0)
    made = guided.generate(PROMPTS, "a", max_tokens=3, temperature=0)
    for k, prompt in enumerate(PROMPTS):
        before, written = model.prompt_tokens(prompt), []
        while len(written) < 3 and (not written or written[-1] not in model.ends):
            top = log_probs(model, [*before, *written]).topk(3)
            scores = [
                float(value) + 100.0 * reward([prompt], [model.decode([*written, int(token)])])[0]
                for value, token in zip(top.values, top.indices, strict=True)
            ]
            written.append(int(top.indices[int(np.argmax(scores))]))
        assert made.tokens[k] == tuple(written)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "prompt"])
def test_logits_of_the_last_place_alone_are_computed_where_no_other_is_read(tiny_lm, two, kind):
    model = {"llama": tiny_lm, "gpt2": two[0], "prompt": adapted(tiny_lm, "prompt")}[kind]
    places = []

    def note(module, inputs, output):
        places.append(output.shape[1])

    handle = model.network.get_output_embeddings().register_forward_hook(note)
    SteeringVector.from_pairs(model, PROMPTS, RESPONSES["warm"], RESPONSES["plain"])
    ContrastiveGuidance(tiny_lm, model, PROMPTS)._logits(torch.tensor([tiny_lm.prompt_tokens(PROMPTS[0])]))
    handle.remove()
    assert set(places) == {1}
