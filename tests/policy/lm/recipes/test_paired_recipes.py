"""The DPO family: TRL's loss is the formula, and a few steps prefer what was chosen."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import DataError, DataWarning, LanguageModelError, UsageError
from pluralism.policy import sppo_loss
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.recipes import (
    DPO,
    FDPO,
    IPO,
    RPO,
    BCOPair,
    LengthNormalisedDPO,
    RobustDPO,
    SPPOHard,
    recipe_by_name,
    recipe_names,
    training_history,
)
from pluralism.policy.lm.shared_weights import weights_of


def log_sigmoid(z):
    return -np.logaddexp(0.0, -z)


def test_losses_are_their_formulas(tiny_lm, other_lm, pairs, log_ratios):
    # Each pair and its mirror image, of all four prompts, would hide which side is which.
    rows = pairs[:5]
    prompts = [row["prompt"] for row in rows]
    chosen = [row["chosen"] for row in rows]
    (w, n_w), (v, n_v) = log_ratios(prompts, chosen), log_ratios(prompts, [row["rejected"] for row in rows])
    assert np.abs(w - v).min() > 0.05
    nll = -np.concatenate(other_lm.log_probs(prompts, chosen).per_token).mean()
    z, by_token = 0.3 * (w - v), w / n_w - v / n_v
    hard = sppo_loss(np.stack([w, v], axis=1), np.array([1.0, 0.0]), eta=1 / 0.3).sum(axis=1)
    js_w, js_v = np.log(2) + log_sigmoid(w), np.log(2) + log_sigmoid(v)
    cases = {
        DPO(beta=0.3, batch_size=8): -log_sigmoid(z),
        LengthNormalisedDPO(beta=4.0, batch_size=8): -log_sigmoid(4 * by_token),
        RPO(beta=0.3, sft_weight=0.2, batch_size=8): -log_sigmoid(z) + 0.2 * nll,
        SPPOHard(beta=0.3, batch_size=8): hard,
        BCOPair(beta=0.3, batch_size=8): -log_sigmoid(0.3 * w) - log_sigmoid(-0.3 * v),
        RobustDPO(beta=0.3, flips=0.2, batch_size=8): (-0.8 * log_sigmoid(z) + 0.2 * log_sigmoid(-z)) / 0.6,
        IPO(beta=0.3, batch_size=8): (by_token - 1 / 0.6) ** 2,
        FDPO(beta=0.3, batch_size=8): -log_sigmoid(0.3 * (js_w - js_v)),
        FDPO(beta=0.3, divergence="forward_kl", batch_size=8): -log_sigmoid(0.3 * (np.exp(-v) - np.exp(-w))),
        FDPO(beta=0.3, divergence="alpha", alpha=0.5, batch_size=8): -log_sigmoid(
            0.6 * (np.exp(-v / 2) - np.exp(-w / 2))
        ),
        FDPO(beta=0.3, divergence="reverse_kl", batch_size=8): -log_sigmoid(z),
    }
    for one, by_hand in cases.items():
        found = one.loss(other_lm, rows, reference=tiny_lm)
        assert found == pytest.approx(by_hand.mean(), rel=1e-4), one


FAMILY = [LengthNormalisedDPO(), RPO(), SPPOHard(beta=0.1), BCOPair(), RobustDPO(), IPO(), FDPO()]


@pytest.mark.parametrize("recipe", FAMILY, ids=lambda recipe: recipe.name)
def test_a_few_steps_of_each_lower_its_loss(tiny_lm, pairs, tmp_path, recipe):
    quick = replace(recipe, learning_rate=5e-4, max_steps=3, batch_size=4, log_every=1)
    quick.train(tiny_lm, pairs, tmp_path, group="a")
    # Each step sees all rows.
    first, _, last, *_ = training_history(tmp_path)["loss"].to_pylist()
    assert last < first - 1e-4


def test_the_loss_beside_itself_and_of_a_group(tiny_lm, other_lm, pairs):
    assert DPO(batch_size=8).loss(other_lm, pairs) == pytest.approx(np.log(2), rel=1e-6)
    of_a, of_b = (DPO().loss(other_lm, pairs, group=group, reference=tiny_lm) for group in "ab")
    assert DPO().loss(other_lm, pairs, reference=tiny_lm) == pytest.approx((of_a + of_b) / 2, rel=1e-5)


def test_training_prefers_what_was_chosen_and_leaves_the_start_alone(tiny_lm, pairs, tmp_path):
    before = {name: weight.clone() for name, weight in weights_of(tiny_lm.network).items()}
    python_state = torch.random.get_rng_state()
    steps: list[tuple[int, int]] = []
    quick = DPO(learning_rate=2e-3, max_steps=3, batch_size=4, log_every=1)
    trained = quick.train(tiny_lm, pairs, tmp_path / "a", group="a", progress=lambda *done: steps.append(done))
    assert quick.loss(trained, pairs, group="a", reference=tiny_lm) < 0.65 < np.log(2)
    assert quick.loss(trained, pairs, group="b", reference=tiny_lm) > np.log(2)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(python_state, torch.random.get_rng_state())
    for name, weight in weights_of(tiny_lm.network).items():
        assert torch.equal(weight, before[name])
    assert "forward" not in tiny_lm.network.__dict__ and "forward" not in trained.network.__dict__
    assert trained.generate(["What do bees make?"], max_tokens=4, rng=1).texts
    log = training_history(tmp_path / "a")
    assert log["loss"][0].as_py() == pytest.approx(np.log(2), rel=1e-5)
    again = quick.train(tiny_lm, pairs, tmp_path / "a", group="a", progress=lambda *done: steps.append(done))
    assert len(steps) == 3
    for name, weight in weights_of(again.network).items():
        assert torch.equal(weight, weights_of(trained.network)[name])
    assert not (tmp_path / "a" / "checkpoints").exists()


def test_nothing_is_sent_printed_or_written_elsewhere(tiny_lm, pairs, tmp_path, monkeypatch, capfd):
    from trl.trainer import base_trainer

    def sent(*args, **options):
        raise AssertionError("telemetry")

    monkeypatch.setattr(base_trainer, "send_telemetry", sent)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(tmp_path)
    DPO(epochs=2, batch_size=4, save_every=1).train(tiny_lm, pairs, tmp_path / "run", group="a")
    assert capfd.readouterr() == ("", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert training_history(tmp_path / "run")["step"].to_pylist()[-1] == 2


def test_a_training_that_diverges_is_refused(tiny_lm, pairs, tmp_path):
    with pytest.raises(LanguageModelError, match="The training diverged"):
        DPO(learning_rate=1e30, schedule="constant", max_steps=3).train(tiny_lm, pairs, tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_folder_of_another_training_is_refused(tiny_lm, other_lm, pairs, tmp_path):
    quick = DPO(max_steps=1, batch_size=4)
    quick.train(tiny_lm, pairs, tmp_path / "run", group="a")
    for other, start, group in (
        (IPO(max_steps=1, batch_size=4), tiny_lm, "a"),
        (quick, other_lm, "a"),
        (quick, tiny_lm, "b"),
    ):
        with pytest.raises(UsageError, match="The folder holds a run with other"):
            other.train(start, pairs, tmp_path / "run", group=group)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="files of something else"):
        quick.train(tiny_lm, pairs, tmp_path / "notes")
    with pytest.raises(UsageError, match="no finished training"):
        training_history(tmp_path / "notes")


@pytest.mark.parametrize("adapter", [Lora(rank=4, alpha=8), PromptTuning(tokens=4)])
def test_training_an_adapter(tiny_lm, pairs, tmp_path, adapter):
    before = {name: weight.clone() for name, weight in weights_of(tiny_lm.network).items()}
    rate, steps = (3e-2, 4) if isinstance(adapter, Lora) else (0.1, 8)
    quick = DPO(learning_rate=rate, max_steps=steps, batch_size=4, adapter=adapter)
    trained = quick.train(tiny_lm, pairs, tmp_path, group="a")
    loss = quick.loss(trained, pairs, group="a", reference=tiny_lm)
    assert loss < 0.65
    assert weights_of(tiny_lm.network).keys() == before.keys()
    shared = {weight.data_ptr() for weight in tiny_lm.network.parameters()}
    own = [weight for weight in trained.network.parameters() if weight.data_ptr() not in shared]
    assert 0 < sum(weight.numel() for weight in own) < 0.5 * tiny_lm.n_parameters
    assert {path.name for path in (tmp_path / "model").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    again = quick.train(tiny_lm, pairs, tmp_path, group="a")
    assert quick.loss(again, pairs, group="a", reference=tiny_lm) == pytest.approx(loss, rel=1e-6)
    with trained.network.disable_adapter():
        back = trained.log_probs(["What do bees make?"], ["They make honey."]).total
    assert back == pytest.approx(tiny_lm.log_probs(["What do bees make?"], ["They make honey."]).total, rel=1e-6)


def test_a_conditioned_policy_prefers_by_its_system_message(tiny_lm, pairs, tmp_path):
    told = {"a": models.SYSTEMS["plain"], "b": models.SYSTEMS["warm"]}
    rows = [{**row, "system": told[row["group"]]} for row in pairs]
    quick = DPO(learning_rate=2e-3, max_steps=8, batch_size=8)
    trained = quick.train(tiny_lm, rows, tmp_path)
    for group in told:
        assert quick.loss(trained, rows, group=group, reference=tiny_lm) < 0.65


def test_messages_are_read_as_texts_and_system_messages(tiny_lm, other_lm):
    text = {
        "prompt": "What do bees make?",
        "chosen": "They make honey.",
        "rejected": "It is blue.",
        "system": "Be brief.",
    }
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text["prompt"]}]
    spoken = {side: [{"role": "assistant", "content": text[side]}] for side in ("chosen", "rejected")}
    messages = [{"prompt": said, **spoken}]
    forms = ([text], messages, datasets.Dataset.from_list(messages), datasets.Dataset.from_list([text]))
    losses = [DPO().loss(other_lm, rows, reference=tiny_lm) for rows in forms]
    assert losses == [losses[0]] * 4 and losses[0] != pytest.approx(np.log(2))
    with pytest.raises(DataError, match="both in the prompt and in the column system"):
        DPO().loss(other_lm, [{**messages[0], "system": "Be brief."}], reference=tiny_lm)
    with pytest.raises(DataError, match="turns of a prompt are user, user"):
        DPO().loss(other_lm, [{**spoken, "prompt": [said[1], said[1]]}])


def test_rows_that_cannot_be_used(tiny_lm, pairs):
    with pytest.raises(DataError, match="'rejected' is missing"):
        DPO().loss(tiny_lm, [{"prompt": "a", "chosen": "b"}])
    with pytest.raises(DataError, match="no rows to train on"):
        DPO().loss(tiny_lm, {"prompt": [], "chosen": [], "rejected": []})
    with pytest.raises(DataError, match="group 'c' has no rows") as caught:
        DPO().loss(tiny_lm, pairs, group="c")
    assert "rows of a, b" in str(caught.value)
    with pytest.raises(DataError, match="neither a text nor messages"):
        DPO().loss(tiny_lm, [{"prompt": "a", "chosen": None, "rejected": "b"}])
    with pytest.raises(DataError, match="leaves none for an answer"):
        DPO(max_tokens=5).loss(tiny_lm, pairs)
    with pytest.warns(DataWarning, match="answers are cut"):
        DPO(max_tokens=25).loss(tiny_lm, pairs)


def test_settings_that_cannot_work():
    for name in recipe_names():
        assert recipe_by_name(name).name == name
        config = recipe_by_name(name).config("out")
        assert not config.bf16 and not config.gradient_checkpointing and config.report_to == []
        assert config.use_cpu and config.max_length == 1024
    with pytest.raises(UsageError, match="no loss 'dop'"):
        recipe_by_name("dop")
    with pytest.raises(UsageError, match="no setting 'gamma'"):
        recipe_by_name("dpo", gamma=1)
    for wrong in (
        {"beta": 0},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"rng": None},
        {"learning_rate": -1},
        {"schedule": "wiggly"},
        {"max_steps": 2.5},
        {"batch_size": 2.5},
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            DPO(**wrong)
    for make in (
        lambda: FDPO(divergence="kl"),
        lambda: RobustDPO(flips=0.5),
        lambda: RPO(sft_weight=-1),
        lambda: Lora(rank=0),
        lambda: Lora(rank=2.5),
        lambda: PromptTuning(tokens=0),
    ):
        with pytest.raises(UsageError):
            make()
