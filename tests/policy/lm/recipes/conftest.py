"""Pairs that prefer the warm answer, and a second model beside the tiny one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny_lm as models
import torch

from pluralism.policy.lm.shared_weights import same_body, weights_of


@pytest.fixture(scope="session")
def pairs():
    """A warm answer before a plain one for group a, and the other way round for group b."""
    rows = []
    for group, (better, worse) in {"a": ("warm", "plain"), "b": ("plain", "warm")}.items():
        for k, prompt in enumerate(models.PROMPTS):
            chosen, rejected = models.RESPONSES[better][k], models.RESPONSES[worse][k]
            rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected, "group": group})
    return rows


@pytest.fixture(scope="session")
def thumbs(pairs):
    """The rows of group a one by one, thumbs up for what was chosen."""
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen", "group": row["group"]}
        for row in pairs[:4]
        for side in ("chosen", "rejected")
    ]


@pytest.fixture(scope="session")
def other_lm(tiny_lm):
    """The tiny model with a little noise on its weights: a policy that has left its reference."""
    noise = torch.Generator().manual_seed(1)
    weights = {k: v + 0.03 * torch.randn(v.shape, generator=noise) for k, v in weights_of(tiny_lm.network).items()}
    return replace(tiny_lm, network=same_body(tiny_lm.network, weights), name="other")


@pytest.fixture(scope="session")
def log_ratios(tiny_lm, other_lm):
    """Takes prompts and answers; gives the other model's log-ratios to the tiny one, and lengths."""

    def found(prompts, answers):
        policy, reference = other_lm.log_probs(prompts, answers), tiny_lm.log_probs(prompts, answers)
        return policy.total - reference.total, policy.n_tokens

    return found
