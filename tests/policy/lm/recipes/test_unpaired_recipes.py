"""KTO and BCO: the loss is the formula, the shift moves, and a few steps tell thumbs apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.policy.lm.recipes import BCO, KTO, prompt_weights
from pluralism.policy.lm.recipes.bco_trainer import RewardShift


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def log_ratio(policy, reference, prompt, answer):
    return (policy.log_probs([prompt], [answer]).total - reference.log_probs([prompt], [answer]).total)[0]


def test_the_kto_loss_is_its_formula(tiny_lm, other_lm, thumbs):
    up, down = thumbs[0], thumbs[3]
    rows = [up, down]
    clamped = []
    for policy, reference in ((other_lm, tiny_lm), (tiny_lm, other_lm)):
        crossed = [log_ratio(policy, reference, a["prompt"], b["completion"]) for a, b in ((up, down), (down, up))]
        z = max(np.mean(crossed), 0.0)
        clamped.append(z == 0)
        liked, not_liked = (log_ratio(policy, reference, row["prompt"], row["completion"]) for row in rows)
        by_hand = (1.2 * (1 - sigmoid(0.3 * (liked - z))) + 1 - sigmoid(0.3 * (z - not_liked))) / 2
        found = KTO(beta=0.3, batch_size=2, up_weight=1.2).loss(policy, rows, reference=reference)
        assert found == pytest.approx(by_hand, rel=1e-4)
    assert sorted(clamped) == [False, True]


def test_the_bco_loss_is_its_formula(tiny_lm, other_lm, thumbs):
    labels = np.array([row["label"] for row in thumbs])
    rho = np.array([log_ratio(other_lm, tiny_lm, row["prompt"], row["completion"]) for row in thumbs])
    rewards = 0.4 * rho
    delta = (rewards[labels].mean() + rewards[~labels].mean()) / 2
    z = np.where(labels, rewards - delta, delta - rewards)
    losses = np.logaddexp(0.0, -z)
    found = BCO(beta=0.4, batch_size=8).loss(other_lm, thumbs, reference=tiny_lm)
    assert found == pytest.approx(losses.mean(), rel=1e-4)
    weights = np.linspace(0.5, 2.0, 8)
    weighed = [{**row, "weight": weight} for row, weight in zip(thumbs, weights, strict=True)]
    by_hand = np.where(labels, losses, weights * losses).mean()
    assert BCO(beta=0.4, batch_size=8).loss(other_lm, weighed, reference=tiny_lm) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("kind", [KTO, BCO])
def test_training_tells_thumbs_apart(tiny_lm, thumbs, tmp_path, kind):
    quick = kind(learning_rate=1e-3, max_steps=4, batch_size=4, save_every=2)
    trained = quick.train(tiny_lm, thumbs, tmp_path)
    moved = np.array([log_ratio(trained, tiny_lm, row["prompt"], row["completion"]) for row in thumbs])
    labels = np.array([row["label"] for row in thumbs])
    assert moved[labels].min() > moved[~labels].max()


def test_the_shift_is_half_the_sum_of_moving_averages():
    shift = RewardShift(0.75)
    up, down = torch.tensor([True, False]), torch.tensor([False, False])
    assert shift.taken_in(torch.tensor([1.0, -2.0]), up) == pytest.approx(-0.5)
    assert shift.taken_in(torch.tensor([3.0, 0.0]), up) == pytest.approx((1.5 - 1.5) / 2)
    assert shift.taken_in(torch.tensor([8.0, 8.0]), down, learn=False) == pytest.approx(0.0)
    assert shift.taken_in(torch.tensor([2.5, 2.5]), down) == pytest.approx((1.5 + 0.25 * 2.5 - 0.75 * 1.5) / 2)


def test_prompt_weights_balance_the_prompts():
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=4000)
    labels = rng.random(4000) < np.where(kind == 1, 0.8, 0.4)
    weights = prompt_weights(np.eye(2)[kind], labels, low=0.1, penalty=1e-6)
    down = ~labels
    shares = labels[kind == 1].sum() / labels.sum()
    assert np.average(kind[down], weights=weights[down]) == pytest.approx(shares, abs=1e-3)
    assert (weights[labels] == 1).all() and weights[down].mean() == pytest.approx(1.0, abs=1e-3)
    assert prompt_weights(np.zeros((4, 1)), [True, False, False, False]).tolist() == pytest.approx([1] * 4)
    with pytest.raises(DataError, match="one way"):
        prompt_weights(np.eye(2), [True, True])
    with pytest.raises(UsageError, match="low="):
        prompt_weights(np.eye(2), [True, False], low=0.0)


def test_thumbs_that_cannot_be_used(tiny_lm, thumbs):
    with pytest.raises(DataError, match="'label' is missing"):
        KTO().loss(tiny_lm, [{"prompt": "a", "completion": "b"}])
    with pytest.raises(DataError, match="All labels are True"):
        BCO().loss(tiny_lm, thumbs[:1])
    with pytest.raises(DataError, match="label is 'yes'"):
        BCO().loss(tiny_lm, [{**thumbs[0], "label": "yes"}])
    with pytest.raises(DataError, match="weight is below 0"):
        BCO().loss(tiny_lm, [{**row, "weight": -1.0} for row in thumbs])
    with pytest.warns(DataWarning, match="KTO works best"):
        KTO().loss(tiny_lm, thumbs[:3])
    for wrong in ({"batch_size": 1}, {"down_weight": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            KTO(**wrong)
    with pytest.raises(UsageError, match="momentum"):
        BCO(momentum=1.0)
