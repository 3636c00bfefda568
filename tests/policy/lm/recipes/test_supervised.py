"""Supervised fine-tuning: the loss by token, and a few steps."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_lm as models

from pluralism.errors import DataError
from pluralism.policy.lm.recipes import SupervisedTuning


@pytest.fixture(scope="module")
def answers():
    return {"prompt": models.PROMPTS, "completion": ["It is red.", "Wax.", "In the sea.", "Early, at dawn."]}


def test_the_loss_is_the_cross_entropy_of_answers(other_lm, answers):
    found = other_lm.log_probs(answers["prompt"], answers["completion"])
    by_hand = -np.concatenate(found.per_token).mean()
    assert SupervisedTuning().loss(other_lm, answers) == pytest.approx(by_hand, rel=1e-5)
    systems = {**answers, "system": ["Be brief.", None, "Be brief.", None]}
    told = other_lm.log_probs(answers["prompt"], answers["completion"], system=systems["system"])
    assert SupervisedTuning().loss(other_lm, systems) == pytest.approx(-np.concatenate(told.per_token).mean(), rel=1e-5)


def test_training_learns_the_answers(tiny_lm, answers, tmp_path):
    quick = SupervisedTuning(learning_rate=3e-3, max_steps=12, batch_size=2)
    trained = quick.train(tiny_lm, answers, tmp_path)
    assert quick.loss(trained, answers) < 0.5 * quick.loss(tiny_lm, answers)


def test_an_empty_column_is_named(tiny_lm):
    with pytest.raises(DataError, match="'completion' is missing"):
        SupervisedTuning().loss(tiny_lm, {"prompt": ["a"]})
