"""Over-optimisation: the band by hand, and a real training that goes too far under the eyes of the monitor."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from instrument_checks import check_result
from tiny_lm import PROMPTS, RESPONSES

from pluralism.diagnostics import OverOptimisationMonitor, over_optimisation, top_k_of_model
from pluralism.diagnostics.next_tokens import read_answers
from pluralism.diagnostics.top_k import measure_top_k
from pluralism.errors import DataError, UsageError

PLAIN, WARM = RESPONSES["plain"], RESPONSES["warm"]


def test_the_band_and_its_alarms_by_hand():
    found = over_optimisation(
        [0, 5, 10, 15, 20, 25], [2.0, 2.2, 1.8, 1.6, 1.5, 1.9], [0.9, 0.8, 0.85, 0.9, 0.7, 0.6], baseline=3, slack=0.05
    )
    # Ranges 1.8 to 2.2 and .8 to .9, widened by a twentieth of the means 2 and .85.
    np.testing.assert_allclose(found.entropy_band, [1.7, 2.3])
    np.testing.assert_allclose(found.mass_band, [0.7575, 0.9425])
    # The first of each run below: 1.6 at 15 for the entropy, .7 at 20 for the mass.
    assert [(alarm.step, alarm.measure) for alarm in found.alarms] == [(15, "entropy"), (20, "mass")]
    assert found.to_frame()["entropy_alarm"].to_pylist() == [False, False, False, True, False, False]
    patient = over_optimisation(found.steps, found.entropy, found.mass, baseline=3, slack=0.05, patience=2)
    assert [(alarm.step, alarm.measure) for alarm in patient.alarms] == [(20, "entropy"), (25, "mass")]
    assert "step 15: entropy 1.600 is below 1.700" in repr(found)
    check_result(found, rows=6)


def test_a_model_that_was_always_sure_can_be_drawn():
    check_result(over_optimisation([0, 1], [0.0, 0.0], [1.0, 1.0], slack=0.0), rows=2)


def test_rising_entropy_raises_no_alarm():
    assert over_optimisation([0, 1, 2], [1.0, 2.0, 3.0], [0.5, 0.6, 0.7], baseline=1).alarms == ()


def trainer(model, monitor, folder, *, steps, rate, **options):
    """A causal-language-modelling Trainer on plain answers alone."""
    from transformers import Trainer, TrainingArguments

    rows = []
    for prompt, answer in zip(PROMPTS, PLAIN, strict=True):
        asked, said = model.prompt_tokens(prompt), model.response_tokens(answer)
        rows.append({"input_ids": asked + said, "labels": [-100] * len(asked) + said})
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, learning_rate=rate, per_device_train_batch_size=1, use_cpu=True,
        report_to="none", disable_tqdm=True, logging_strategy="no", lr_scheduler_type="constant", seed=0,
        **({"save_strategy": "no"} | options),
    )  # fmt: skip
    return Trainer(model.network, arguments, train_dataset=rows, callbacks=[] if monitor is None else [monitor])


@pytest.fixture(scope="module")
def trained(tiny_lm, tmp_path_factory):
    model = tiny_lm.copy()
    monitor = OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, k=5, every=5, baseline=1, slack=0.2)
    run = trainer(model, monitor, tmp_path_factory.mktemp("run"), steps=30, rate=2e-3)
    run.train()
    return model, monitor, run


def test_a_training_on_one_style_loses_the_other(tiny_lm, trained):
    _, monitor, run = trained
    found = monitor.result()
    np.testing.assert_array_equal(found.steps, [0, 5, 10, 15, 20, 25, 30])
    # It forgets that it could answer warmly as well: the choice at the first token is gone.
    assert found.entropy[-1] < found.entropy_band[0] < found.entropy[0]
    assert any(alarm.measure == "entropy" for alarm in found.alarms)
    logged = [entry for entry in run.state.log_history if "top_k_entropy" in entry]
    assert [entry["step"] for entry in logged] == found.steps.tolist()
    assert run.state.global_step == 30
    check_result(found, rows=7)


def test_it_measures_the_model_in_training(tiny_lm, trained):
    model, monitor, _ = trained
    found = monitor.result()
    for at, one in ((0, tiny_lm), (-1, model)):
        read = read_answers(
            one, [one.prompt_tokens(p) for p in PROMPTS], [one.response_tokens(a) for a in PLAIN], measure_top_k(5)
        )
        entropy, mass = np.mean([rows.mean(axis=1) for rows in read], axis=0)
        np.testing.assert_allclose((found.entropy[at], found.mass[at]), (entropy, mass), rtol=1e-5)


def test_an_alarm_can_stop_the_training_and_is_logged(tiny_lm, tmp_path, caplog):
    monitor = OverOptimisationMonitor(tiny_lm, PROMPTS, WARM, every=2, baseline=1, slack=0.0, stop=True)
    run = trainer(tiny_lm.copy(), monitor, tmp_path, steps=40, rate=2e-3)
    with caplog.at_level(logging.WARNING, logger="pluralism"):
        run.train()
    found = monitor.result()
    assert run.state.global_step < 40
    assert found.alarms and found.alarms[0].step == found.steps[-1] == run.state.global_step
    assert "likeliest tokens" in caplog.text


@pytest.mark.parametrize("stop", [False, True])
def test_a_model_that_has_diverged_is_told_of_and_not_measured(tiny_lm, tmp_path, caplog, stop):
    monitor = OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, every=1, baseline=1, slack=100.0, stop=stop)
    run = trainer(tiny_lm.copy(), monitor, tmp_path, steps=4, rate=1e36)
    with caplog.at_level(logging.WARNING, logger="pluralism"):
        run.train()
    assert "has diverged" in caplog.text
    assert run.state.global_step < 4 if stop else run.state.global_step == 4
    assert np.isfinite(monitor.result().entropy).all()


def test_a_resumed_training_keeps_the_band_of_its_start(tiny_lm, tmp_path):
    def monitor():
        return OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, k=5, every=3, baseline=1)

    first = monitor()
    trainer(tiny_lm.copy(), first, tmp_path, steps=6, rate=1e-3, save_strategy="steps", save_steps=6).train()
    second = monitor()
    run = trainer(tiny_lm.copy(), second, tmp_path, steps=12, rate=1e-3)
    run.train(resume_from_checkpoint=True)
    found = second.result()
    np.testing.assert_array_equal(found.steps, [0, 3, 6, 9, 12])
    np.testing.assert_allclose(found.entropy[:3], first.result().entropy)
    assert found.entropy_band == first.result().entropy_band


def test_answers_can_be_written_anew(tiny_lm, tmp_path):
    monitor = OverOptimisationMonitor(tiny_lm, PROMPTS, k=5, every=4, redraw=True, max_tokens=8)
    model = tiny_lm.copy()
    trainer(model, monitor, tmp_path, steps=4, rate=2e-3).train()
    own = top_k_of_model(model, model.generate(PROMPTS, max_tokens=8, rng=0), k=5)
    np.testing.assert_allclose(monitor.result().entropy[-1], own.row_entropy.mean(), rtol=1e-4)
    # Whatever it writes, the training goes as it would without it.
    alone = tiny_lm.copy()
    trainer(alone, None, tmp_path / "alone", steps=4, rate=2e-3).train()
    pairs = zip(model.network.parameters(), alone.network.parameters(), strict=True)
    assert all(torch.equal(watched, free) for watched, free in pairs)


def test_bad_input_is_refused(tiny_lm):
    with pytest.raises(UsageError, match="Nothing was measured"):
        OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN).result()
    with pytest.raises(UsageError, match="one response for each"):
        OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN[:1])
    with pytest.raises(UsageError, match="written anew"):
        OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, redraw=True)
    with pytest.raises(UsageError, match="every"):
        OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, every=0)
    with pytest.raises(UsageError, match="slack"):
        OverOptimisationMonitor(tiny_lm, PROMPTS, PLAIN, slack=-1.0)
    with pytest.raises(DataError, match="do not rise"):
        over_optimisation([0, 0], [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(DataError, match="do not fit"):
        over_optimisation([0], [1.0, 1.0], [1.0, 1.0])
    for setting in ({"slack": -0.1}, {"baseline": 1.5}, {"patience": 0}):
        with pytest.raises(UsageError, match="slack"):
            over_optimisation([0], [1.0], [1.0], **setting)


@pytest.mark.slow
def test_it_watches_a_recipe_of_trl(tiny_lm, tmp_path):
    from pluralism.policy.lm.recipes import DPO

    monitor = OverOptimisationMonitor(tiny_lm, PROMPTS, WARM, k=5, every=4, baseline=1)
    recipe = DPO(max_steps=12, batch_size=4, learning_rate=2e-3, beta=0.1)
    pairs = {"prompt": PROMPTS, "chosen": PLAIN, "rejected": WARM}
    after = recipe.train(tiny_lm, pairs, tmp_path / "dpo", callbacks=[monitor])
    found = monitor.result()
    np.testing.assert_array_equal(found.steps, [0, 4, 8, 12])
    for at, model in ((0, tiny_lm), (-1, after)):
        read = read_answers(
            model, [model.prompt_tokens(p) for p in PROMPTS], [model.response_tokens(a) for a in WARM], measure_top_k(5)
        )
        np.testing.assert_allclose(found.entropy[at], np.mean([rows[0].mean() for rows in read]), rtol=1e-4)
    # One that stops ends the training of the recipe at the first alarm.
    strict = OverOptimisationMonitor(tiny_lm, PROMPTS, WARM, k=5, every=2, baseline=1, slack=0.0, stop=True)
    recipe.train(tiny_lm, pairs, tmp_path / "stopped", callbacks=[strict])
    assert strict.result().alarms[0].step == strict.result().steps[-1] < 12
