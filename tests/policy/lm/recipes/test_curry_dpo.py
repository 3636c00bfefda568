"""Curriculum DPO: stages in the order of the gaps, each beside the policy of the one before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.adapter_settings import Lora
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.recipes import DPO, CurryDPO, training_history
from pluralism.policy.lm.shared_weights import weights_of


@pytest.fixture(scope="module")
def graded(pairs):
    return [{**row, "margin": margin} for row, margin in zip(pairs[:4], (1.0, 3.0, 2.0, 4.0), strict=True)]


def test_pairs_are_sorted_by_falling_gap_or_by_stage(graded):
    assert CurryDPO(stages=2).stages_of(graded) == [[3, 1], [2, 0]]
    staged = [{**row, "stage": stage} for row, stage in zip(graded, (5, 2, 5, 2), strict=True)]
    assert CurryDPO(stages=9).stages_of(staged) == [[1, 3], [0, 2]]
    with pytest.raises(DataError, match="Neither the column 'stage' nor 'margin'"):
        CurryDPO().stages_of([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    with pytest.raises(DataError, match="cannot fill 5 stages"):
        CurryDPO(stages=5).stages_of(graded)
    with pytest.raises(UsageError, match="stages=0"):
        CurryDPO(stages=0)


@pytest.mark.parametrize("adapter", [None, Lora(rank=2)])
def test_each_stage_goes_on_from_the_one_before(tiny_lm, graded, tmp_path, adapter):
    rate = 1e-3 if adapter is None else 1e-2
    stage = DPO(learning_rate=rate, max_steps=2, batch_size=2, log_every=1, adapter=adapter)
    trained = CurryDPO(stage=stage, stages=2).train(tiny_lm, graded, tmp_path)
    first = stage.train(tiny_lm, [graded[3], graded[1]], tmp_path / "stage-0")
    second = stage.train(first, [graded[2], graded[0]], tmp_path / "by hand")
    for name, weight in weights_of(trained.network).items():
        assert torch.equal(weight, weights_of(second.network)[name])
    assert stage.loss(second, graded, reference=tiny_lm) < stage.loss(first, graded, reference=tiny_lm) < np.log(2)
    # The loss of a policy beside itself: the reference has moved up.
    for number in (0, 1):
        log = training_history(tmp_path / f"stage-{number}")
        assert log["loss"][0].as_py() == pytest.approx(np.log(2), rel=1e-5)
    if adapter is not None:
        assert Adapter.of(trained.network).config.r == 2
