"""Distillation of contrastive teachers: the loss by hand, its optimum, steps that come nearer, and named errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_lm import PROMPTS, RESPONSES

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.adapter_settings import PromptTuning
from pluralism.policy.lm.conditioning import teacher_model
from pluralism.policy.lm.recipes import AlignDistil

ROWS = [
    {"prompt": prompt, "completion": answer}
    for answers in RESPONSES.values()
    for prompt, answer in zip(PROMPTS, answers, strict=True)
]


def log_softmax(model, tokens):
    with torch.no_grad():
        return torch.log_softmax(model.network(input_ids=torch.tensor([tokens])).logits[0].double(), -1)


@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
def test_loss_by_hand(tiny_lm, other_lm, kind):
    """Means over the tokens of each batch of two, then over batches."""
    teacher = teacher_model(other_lm, tiny_lm, contrast=kind, scale=1.5)
    batches = []
    for first in (0, 2, 4, 6):
        terms = []
        for row in ROWS[first : first + 2]:
            prompt = tiny_lm.prompt_tokens(row["prompt"])
            answer = tiny_lm.response_tokens(row["completion"])
            whole = [*prompt, *answer]
            student, wanted = log_softmax(tiny_lm, whole), log_softmax(teacher, whole)
            gap = log_softmax(other_lm, whole).exp() - log_softmax(tiny_lm, whole).exp()
            for place in range(len(prompt) - 1, len(whole) - 1):
                kl = float((student[place].exp() * (student[place] - wanted[place])).sum())
                weight = 1.5 * float(gap[place].abs().sum()) + 1e-3
                terms.append(kl * (0.4 / weight if kind == "adaptive" else 1.0))
        batches.append(np.mean(terms))
    found = AlignDistil(batch_size=2, beta=0.4).loss(tiny_lm, ROWS, reference=teacher)
    assert found == pytest.approx(np.mean(batches), rel=1e-3)


def gpt2(model, seed):
    """Random weights; positions are absolute, so that padding on the left would move them."""
    from transformers import GPT2Config, GPT2LMHeadModel

    special = {"bos_token_id": None, "eos_token_id": model.tokenizer.eos_token_id}
    sizes = {"vocab_size": model.network.config.vocab_size, "n_positions": 256, "n_embd": 32, "n_layer": 2, "n_head": 2}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GPT2LMHeadModel(GPT2Config(**sizes, **special, initializer_range=0.4)).eval()
    return replace(model, network=network, name=f"gpt2 {seed}")


@pytest.mark.parametrize("kind", ["absolute positions", "prompt"])
def test_prompts_of_different_lengths(tiny_lm, other_lm, tmp_path, kind):
    rows = [{**row, "prompt": row["prompt"] + " Why?" * (4 * k)} for k, row in enumerate(ROWS[:4])]
    if kind == "prompt":
        recipe = AlignDistil(
            batch_size=4, max_steps=2, max_new_tokens=8, learning_rate=0.1, adapter=PromptTuning(tokens=3)
        )
        student, teacher = recipe.train(tiny_lm, rows, tmp_path / "run", reference=other_lm), other_lm
        # A tuned prompt can be part of a teacher, too.
        made = teacher_model(student, other_lm, scale=1.0)
        assert recipe.loss(student, rows, reference=made) == pytest.approx(0.0, abs=1e-6)
    else:
        student, teacher = gpt2(tiny_lm, 0), gpt2(tiny_lm, 1)
    terms = []
    for row in rows:
        prompt, answer = tiny_lm.prompt_tokens(row["prompt"]), tiny_lm.response_tokens(row["completion"])
        ours, theirs = (log_softmax(model, [*prompt, *answer])[-len(answer) - 1 : -1] for model in (student, teacher))
        terms += (ours.exp() * (ours - theirs)).sum(1).tolist()
    found = AlignDistil(batch_size=4).loss(student, rows, reference=teacher)
    assert found == pytest.approx(np.mean(terms), rel=1e-4)


def test_the_optimum_is_the_teacher(tiny_lm, other_lm):
    recipe = AlignDistil(batch_size=4)
    assert recipe.loss(other_lm, ROWS, reference=teacher_model(other_lm, tiny_lm, scale=1.0)) < 1e-6
    assert recipe.loss(tiny_lm, ROWS, reference=teacher_model(other_lm, tiny_lm, scale=0.0)) < 1e-6
    assert recipe.loss(tiny_lm, ROWS, reference=other_lm) > 1e-3


def test_training_comes_nearer_to_the_teacher(tiny_lm, other_lm, tmp_path):
    teacher = teacher_model(other_lm, tiny_lm, scale=1.5)
    recipe = AlignDistil(batch_size=8, max_steps=8, learning_rate=1e-3, max_new_tokens=16, schedule="constant")
    asked = [{"prompt": prompt} for prompt in PROMPTS * 2]
    student = recipe.train(tiny_lm, asked, tmp_path / "run", reference=teacher)
    before, after = (recipe.loss(model, ROWS, reference=teacher) for model in (tiny_lm, student))
    assert after < 0.7 * before
    # A finished training is read, and another teacher is another training.
    again = recipe.train(tiny_lm, asked, tmp_path / "run", reference=teacher)
    np.testing.assert_array_equal(again.log_probs(PROMPTS, PROMPTS).total, student.log_probs(PROMPTS, PROMPTS).total)
    with pytest.raises(UsageError, match="reference"):
        stronger = teacher_model(other_lm, tiny_lm, scale=3.0)
        recipe.train(tiny_lm, asked, tmp_path / "run", reference=stronger)


def test_given_answers_in_the_place_of_own_ones(tiny_lm, other_lm, tmp_path):
    recipe = AlignDistil(batch_size=4, max_steps=4, learning_rate=2e-3, on_policy=0.0)
    student = recipe.train(tiny_lm, ROWS, tmp_path / "run", reference=other_lm)
    assert recipe.loss(student, ROWS, reference=other_lm) < recipe.loss(tiny_lm, ROWS, reference=other_lm)


def test_wrong_inputs(tiny_lm, other_lm, tmp_path):
    with pytest.raises(UsageError, match="no teacher"):
        AlignDistil().train(tiny_lm, ROWS, tmp_path / "run")
    with pytest.raises(UsageError, match="no column 'completion'"):
        AlignDistil(on_policy=0.5).train(tiny_lm, [{"prompt": "x"}], tmp_path / "run", reference=other_lm)
    with pytest.raises(DataError, match="600 new tokens"):
        AlignDistil(max_new_tokens=600).train(tiny_lm, ROWS, tmp_path / "run", reference=other_lm)
    for options in ({"beta": 0.0}, {"on_policy": 1.5}, {"temperature": 0.0}, {"max_new_tokens": 0}):
        with pytest.raises(UsageError, match=next(iter(options))):
            AlignDistil(**options)
