"""A training that is killed goes on from its last whole checkpoint, to the result of one that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from recipe_rows import RECIPES, rows_of

from pluralism.policy.lm.recipes.training_folder import TrainingFolder
from pluralism.policy.lm.shared_weights import weights_of

SUPPORT = Path(__file__).parents[3] / "support"
KILLED = """
import sys, time
import tiny_lm
from recipe_rows import RECIPES, rows_of

def report(done, total):
    if done >= 5:
        print("reached", flush=True)
        time.sleep(600)

RECIPES[sys.argv[1]].train(tiny_lm.tiny_lm(), rows_of(sys.argv[1]), sys.argv[2], progress=report)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_a_killed_training_goes_on_to_the_same_result(tiny_lm, tmp_path, name):
    out = tmp_path / "killed"
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", KILLED, name, str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path
    ) as process:
        assert process.stdout.readline() == "reached\n"
        process.kill()
    assert {entry.name for entry in tmp_path.iterdir()} == {"killed"}
    (out / "checkpoints" / "checkpoint-5").mkdir()
    (out / "checkpoints" / "checkpoint-5" / "trainer_state.json").write_text('{"epoch":')
    steps = []
    resumed = RECIPES[name].train(tiny_lm, rows_of(name), out, progress=lambda done, total: steps.append(done))
    assert steps == [4, 5, 6, 7, 8]
    whole = RECIPES[name].train(tiny_lm, rows_of(name), tmp_path / "whole")
    for key, weight in weights_of(whole.network).items():
        assert torch.equal(weight, weights_of(resumed.network)[key]), key
    assert {entry.name for entry in out.iterdir()} == {"run.json", "history.json", "model"}


def test_the_newest_whole_checkpoint_counts(tmp_path):
    folder = TrainingFolder(tmp_path, {"a": 1})
    assert folder.newest_checkpoint() is None
    for step, state in ((9, "{}"), (10, "{}"), (20, ""), (30, None)):
        place = folder.checkpoints / f"checkpoint-{step}"
        place.mkdir(parents=True)
        if state is not None:
            (place / "trainer_state.json").write_text(state)
    (folder.checkpoints / "checkpoint-x").mkdir()
    assert folder.newest_checkpoint() == str(folder.checkpoints / "checkpoint-10")
