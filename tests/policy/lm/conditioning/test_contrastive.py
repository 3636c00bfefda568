"""Contrastive teachers: the closed form of the basic theorem, the adaptive weight, decoding along two models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_lm import PROMPTS, RESPONSES

from pluralism.errors import UsageError
from pluralism.policy import kl_optimal
from pluralism.policy.lm import train_from_scratch
from pluralism.policy.lm.conditioning import (
    Conditioner,
    ContrastiveDecoding,
    ContrastiveGuidance,
    ContrastiveTeacher,
    adaptive_logits,
    extrapolated_logits,
    teacher_model,
)
from pluralism.social_choice import Utilities


@pytest.fixture(scope="module")
def other(tiny_lm):
    """The same model, moved by noise: another policy over the same tokens."""
    moved = tiny_lm.copy(name="moved")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in moved.network.parameters():
            weights += 0.03 * torch.randn(weights.shape, generator=generator)
    return moved


def log_probs(model, tokens):
    with torch.no_grad():
        return torch.log_softmax(model.network(torch.tensor([tokens])).logits[0, -1].double(), 0)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 3.0])
def test_basic_theorem(ratio):
    """The tilt of the reference by the implicit reward of DPO is the extrapolation of logits."""
    rng = np.random.default_rng(0)
    reference, policy = rng.normal(size=(2, 6, 11))
    beta_dpo, beta = 0.3, (0.3 / ratio if ratio else 1e9)
    log_ref = reference - np.logaddexp.reduce(reference, axis=1, keepdims=True)
    log_pi = policy - np.logaddexp.reduce(policy, axis=1, keepdims=True)
    reward = beta_dpo * (log_pi - log_ref)
    closed = kl_optimal(Utilities(reward[..., None], log_ref, unit="gain"), beta=beta)
    made = extrapolated_logits(torch.tensor(policy + 5.0), torch.tensor(reference - 2.0), ratio)
    np.testing.assert_allclose(torch.softmax(made, dim=1).numpy(), closed.probs, atol=1e-8)


def test_adaptive_weight_by_hand():
    z, reverse = np.random.default_rng(1).normal(size=(2, 4, 5))
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (z, reverse))
    made, weight = adaptive_logits(torch.tensor(z), torch.tensor(reverse), 0.7)
    expected = 0.7 * np.abs(p - q).sum(axis=1) + 1e-3
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(made.numpy(), z + expected[:, None] * (z - reverse), rtol=1e-5)
    same, least = adaptive_logits(torch.tensor(z), torch.tensor(z), 0.7)
    np.testing.assert_allclose(same.numpy(), z)
    np.testing.assert_allclose(least.numpy(), 1e-3)


@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
def test_the_teacher_is_a_module_with_logits(tiny_lm, other, kind):
    teacher = ContrastiveTeacher(tiny_lm, other, contrast=kind, scale=1.7)
    assert teacher.config.vocab_size == len(tiny_lm.tokenizer)
    ids = torch.tensor([tiny_lm.prompt_tokens(PROMPTS[0])])
    with torch.no_grad():
        z, against = tiny_lm.network(ids).logits, other.network(ids).logits
    found = teacher(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True).logits
    wanted = extrapolated_logits(z, against, 1.7) if kind == "fixed" else adaptive_logits(z, against, 1.7)[0]
    torch.testing.assert_close(found, wanted)
    assert not found.requires_grad
    model = teacher_model(tiny_lm, other, contrast=kind, scale=1.7)
    assert "float32" in repr(model)
    with pytest.raises(UsageError, match="writes none"):
        model.generate(PROMPTS)
    with pytest.raises(UsageError, match="no weights of its own"):
        model.save("nowhere")


def test_the_teacher_leaves_its_networks_in_their_mode(tiny_lm, other):
    student = tiny_lm.copy()
    student.network.train()
    teacher = ContrastiveTeacher(student, other)
    teacher.eval()
    teacher(input_ids=torch.tensor([[1, 2, 3]]))
    assert student.network.training and not other.network.training


@pytest.mark.parametrize(("kind", "scale"), [("fixed", 2.5), ("adaptive", 1.5)])
def test_decoding_follows_the_contrast(tiny_lm, other, kind, scale):
    decoding = ContrastiveDecoding({"a": tiny_lm}, other, contrast=kind, scale=scale)
    assert isinstance(decoding, Conditioner) and decoding.groups == ("a",)
    made = decoding.generate(PROMPTS, "a", n=2, max_tokens=10, rng=3)
    for prompt, tokens, found in zip(made.prompt_texts, made.tokens, made.log_probs, strict=True):
        whole, total = tiny_lm.prompt_tokens(prompt), 0.0
        for token in tokens:
            z, against = log_probs(tiny_lm, whole), log_probs(other, whole)
            logits = (
                extrapolated_logits(z, against, scale) if kind == "fixed" else adaptive_logits(z, against, scale)[0]
            )
            total += float(torch.log_softmax(logits, 0)[token])
            whole = [*whole, token]
        assert found == pytest.approx(total, abs=2e-3)


def test_scale_one_is_the_policy_and_zero_the_other(tiny_lm, other):
    options = {"n": 2, "max_tokens": 10, "rng": 3}
    for scale, model in ((1.0, tiny_lm), (0.0, other)):
        made = ContrastiveDecoding({"a": tiny_lm}, other, scale=scale).generate(PROMPTS, "a", **options)
        assert made.texts == model.generate(PROMPTS, **options).texts


def test_batches_and_padding_do_not_matter(tiny_lm, other):
    guidance = ContrastiveGuidance(tiny_lm, other, PROMPTS, scale=2.0)
    texts = [
        tiny_lm.generate(PROMPTS, n=2, max_tokens=8, processors=[guidance], rng=1, batch_size=size).texts
        for size in (1, 3, None)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_beyond_a_policy_is_more_of_what_sets_it_apart(tiny_lm):
    """A policy that leans to warm answers, taken beyond the reference, answers warmly."""
    weights = tiny_lm.copy(name="leaning")
    optimiser = torch.optim.SGD(weights.network.parameters(), lr=1e-2)
    weights.network.train()
    for _ in range(3):
        for prompt, response in zip(PROMPTS, RESPONSES["warm"], strict=True):
            asked, answered = weights.prompt_tokens(prompt), weights.response_tokens(response)
            labels = torch.tensor([[-100] * len(asked) + answered])
            weights.network(input_ids=torch.tensor([asked + answered]), labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    weights.network.eval()

    def warmth(scale):
        decoding = ContrastiveDecoding({"warm": weights}, tiny_lm, scale=scale)
        return np.mean(["friend" in t for t in decoding.generate(PROMPTS, "warm", n=10, max_tokens=40).texts])

    found = [warmth(scale) for scale in (0.0, 1.0, 4.0)]
    assert found[0] < found[2] and found[2] > 0.9
    assert found[0] <= found[1] <= found[2]


def test_wrong_inputs(tiny_lm):
    stranger = train_from_scratch(PROMPTS, RESPONSES["plain"], vocabulary=300, hidden=16, layers=1, steps=1)
    with pytest.raises(UsageError, match="different tokens"):
        ContrastiveTeacher(tiny_lm, stranger)
    with pytest.raises(UsageError, match="different tokens"):
        ContrastiveDecoding({"a": tiny_lm}, stranger).generate(PROMPTS, "a")
    with pytest.raises(UsageError, match="contrast='bold'"):
        ContrastiveTeacher(tiny_lm, tiny_lm, contrast="bold")
    with pytest.raises(UsageError, match="scale=-1"):
        ContrastiveDecoding({"a": tiny_lm}, tiny_lm, scale=-1)
    with pytest.raises(UsageError, match="no group 'a'"):
        ContrastiveDecoding({"a": tiny_lm}, {"b": tiny_lm})
