"""GRPO for groups: weights move and change advantages, as logged; the KL is from the start; a killed run goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.dual_weights import DualWeights, exponentiated_gradient, nash_weights
from pluralism.policy.lm.recipes.group_grpo import GroupGRPO
from pluralism.policy.lm.recipes.group_rewards import Anchor, GroupRewards
from pluralism.policy.lm.recipes.training_folder import training_history
from pluralism.policy.lm.recipes.training_rows import choose_rows
from pluralism.policy.lm.run_folder import weights_digest

DATA = {"prompt": models.PROMPTS}


def tastes(prompts, responses):
    """One group wants few words, the other friendly ones."""
    return np.array([[-len(text.split()), 3.0 * ("friend" in text)] for text in responses])


def recipe(**changes):
    options = {
        "reward": tastes,
        "groups": ("brief", "friendly"),
        "dual": DualWeights(rate=2.0),
        "samples": 4,
        "batch_size": 8,
        "response_tokens": 24,
        "temperature": 1.5,
        "max_steps": 3,
        "learning_rate": 1e-3,
        "log_every": 1,
    }
    return GroupGRPO(**{**options, **changes})


def watched(made, model, place):
    """A trainer of the recipe, and what it turned into advantages in each step."""
    rows = made._rows(model, choose_rows(DATA, made.columns))
    trainer = made._trainer(made._trained(model)[0], made._reference(model, None), model, rows, place)
    seen, draw = [], trainer._generate_and_score_completions

    def record(inputs):
        weights = trainer.reward_weights.double().clone()
        found = draw(inputs)
        rewards = torch.tensor([list(trainer._logs["rewards"][name]) for name in made.groups]).T
        seen.append((weights, rewards.double(), found["advantages"].double(), found))
        return found

    trainer._generate_and_score_completions = record
    return trainer, seen


def test_weights_move_down_the_dual_and_change_the_advantages(tiny_lm, tmp_path):
    made = recipe(beta=0.0, scale_rewards="none")
    trainer, seen = watched(made, tiny_lm, tmp_path)
    trainer.train()
    expected = np.array([0.5, 0.5])
    for weights, rewards, advantages, _ in seen:
        np.testing.assert_allclose(weights.numpy(), expected, atol=1e-6)
        total = (rewards @ weights).view(-1, 4)
        torch.testing.assert_close(advantages, (total - total.mean(1, keepdim=True)).flatten(), atol=1e-5, rtol=1e-5)
        expected = exponentiated_gradient(expected, rewards.numpy().mean(axis=0), rate=2.0)
    for _, rewards, advantages, _ in seen[1:]:
        equal = rewards.mean(1).view(-1, 4)
        assert (advantages - (equal - equal.mean(1, keepdim=True)).flatten()).abs().max() > 1e-3
    logged = [row for row in trainer.state.log_history if "weight/brief" in row]
    assert [row["weight/brief"] for row in logged] == pytest.approx([float(w[0]) for w, *_ in seen])


def test_a_policy_that_says_the_same_again_gains_again():
    state = DualWeights(rate=2.0).begin(("brief", "friendly"))
    rewards = GroupRewards(tastes, state, Anchor(np.zeros(2), np.ones(2)))
    brief, friendly = rewards.functions()
    for _ in range(2):
        for function in (brief, friendly):
            function(completions=["My friend."], asked=["Why?"])
        total, count = rewards.take()
        assert total.tolist() == [-2.0, 3.0] and count == 1


@pytest.mark.parametrize("scale", ["batch", "group"])
def test_advantages_are_scaled_as_asked(tiny_lm, tmp_path, scale):
    trainer, seen = watched(recipe(scale_rewards=scale, max_steps=1), tiny_lm, tmp_path)
    trainer.train()
    weights, rewards, advantages, _ = seen[0]
    total = (rewards @ weights).view(-1, 4)
    spread = total.std() if scale == "batch" else total.std(1, keepdim=True)
    expected = (total - total.mean(1, keepdim=True)) / (spread + 1e-4)
    torch.testing.assert_close(advantages, expected.flatten(), atol=1e-4, rtol=1e-4)


def test_each_reward_can_be_normalised_before_the_sum(tiny_lm, tmp_path):
    trainer, seen = watched(recipe(aggregation="normalize_then_sum", max_steps=1), tiny_lm, tmp_path)
    trainer.train()
    weights, rewards, advantages, _ = seen[0]
    each = rewards.view(-1, 4, 2)
    total = ((each - each.mean(1, keepdim=True)) / (each.std(1, keepdim=True) + 1e-4)).view(-1, 2) @ weights
    torch.testing.assert_close(advantages, (total - total.mean()) / (total.std() + 1e-4), atol=1e-4, rtol=1e-4)


def test_the_first_loss_by_hand_and_the_kl_is_from_the_start(tiny_lm, tmp_path):
    trainer, seen = watched(recipe(beta=0.5), tiny_lm, tmp_path)
    trainer.train()
    _, _, advantages, batch = seen[0]
    # drawn by the policy itself, so every ratio is 1 and the KL 0
    lengths = batch["completion_mask"].sum(1)
    by_hand = -(advantages * lengths).sum() / lengths.sum()
    first, *_, last = [row for row in trainer.state.log_history if "kl" in row]
    assert first["loss"] == pytest.approx(float(by_hand), abs=2e-4)
    assert first["kl"] == pytest.approx(0.0, abs=1e-5) and last["kl"] > 1e-5
    assert weights_digest(trainer.ref_model) == weights_digest(tiny_lm.network)


def test_the_kl_of_an_adapter_is_from_the_network_without_it(tiny_lm, tmp_path):
    made = recipe(beta=0.5, adapter=Lora(rank=2), learning_rate=1e-2)
    trained = made.train(tiny_lm, DATA, tmp_path / "run")
    kl = [value for value in training_history(tmp_path / "run")["kl"].to_pylist() if value is not None]
    assert kl[0] == pytest.approx(0.0, abs=1e-5) and kl[-1] > 1e-5
    assert hasattr(trained.network, "peft_config")
    with pytest.raises(UsageError, match="beta=0"):
        recipe(beta=0.0).train(tiny_lm, DATA, tmp_path / "none", reference=tiny_lm)


def test_the_length_of_other_prompts_does_not_matter_where_positions_are_absolute(tiny_lm, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    special = {"bos_token_id": None, "eos_token_id": tiny_lm.tokenizer.eos_token_id}
    sizes = {"vocab_size": len(tiny_lm.tokenizer), "n_positions": 256, "n_embd": 32, "n_layer": 2, "n_head": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = GPT2LMHeadModel(GPT2Config(**sizes, **special, initializer_range=0.4)).eval()
    model = replace(tiny_lm, network=network)
    trainer, _ = watched(recipe(samples=2, batch_size=4, temperature=1.0, unit="raw"), model, tmp_path)
    asked = [model.prompt_tokens(prompt) for prompt in ("Why?", "Why? " * 12)]
    longest, said = max(map(len, asked)), [5, 6, 7]
    ids = torch.tensor([[model.pad] * (longest - len(prompt)) + prompt + said for prompt in asked])
    there = torch.tensor([[0] * (longest - len(prompt)) + [1] * (len(prompt) + 3) for prompt in asked])
    expected = model.token_log_probs(asked, [said, said]).total
    for each in (trainer.model, trainer.ref_model):
        with torch.no_grad():
            found = trainer._get_per_token_logps_and_entropies(each, ids, there, 3)[0].sum(1)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("welfare", ["nash", "utilitarian"])
def test_other_welfare(tiny_lm, tmp_path, welfare):
    dual = DualWeights(welfare=welfare, shares=(3.0, 1.0), floor=0.1)
    trainer, seen = watched(recipe(dual=dual, max_steps=2), tiny_lm, tmp_path)
    trainer.train()
    shares = np.array([0.75, 0.25])
    np.testing.assert_allclose(seen[0][0].numpy(), shares, atol=1e-6)
    expected = shares if welfare == "utilitarian" else nash_weights(shares, seen[0][1].numpy().mean(axis=0), floor=0.1)
    np.testing.assert_allclose(seen[1][0].numpy(), expected, atol=1e-5)


def test_gains_are_over_the_start_in_its_standard_deviations(tiny_lm, tmp_path):
    made = recipe(anchor_samples=64, batch_size=64, samples=16, learning_rate=1e-9, max_steps=1, temperature=1.0)
    trainer, seen = watched(made, tiny_lm, tmp_path)
    trainer.train()
    rewards = seen[0][1].numpy()
    assert np.abs(rewards.mean(axis=0)).max() < 0.5 and (np.abs(rewards.std(axis=0) - 1) < 0.4).all()


@pytest.mark.slow
def test_a_policy_for_one_group_serves_it(tiny_lm, tmp_path):
    scores = {}
    for name, shares, welfare in (("brief", (1.0, 1e-6), "utilitarian"), ("friendly", (1e-6, 1.0), "utilitarian")):
        made = recipe(
            dual=DualWeights(welfare=welfare, shares=shares), samples=8, max_steps=30, batch_size=32, beta=0.02
        )
        trained = made.train(tiny_lm, DATA, tmp_path / name)
        drawn = trained.generate(models.PROMPTS, n=16, max_tokens=24)
        scores[name] = tastes(drawn.prompt_texts, drawn.texts).mean(axis=0)
    assert scores["brief"][0] > scores["friendly"][0] + 1 and scores["friendly"][1] > scores["brief"][1] + 1


@pytest.mark.slow
def test_a_killed_training_goes_on_with_its_weights_to_the_same_result(tiny_lm, tmp_path):
    made = recipe(max_steps=6, save_every=2)
    whole = made.train(tiny_lm, DATA, tmp_path / "whole")

    def killed(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.train(tiny_lm, DATA, tmp_path / "killed", progress=killed)
    resumed = made.train(tiny_lm, DATA, tmp_path / "killed")
    columns = [training_history(tmp_path / place)["weight/brief"].to_pylist() for place in ("whole", "killed")]
    assert columns[0] == columns[1]
    assert weights_digest(resumed.network) == weights_digest(whole.network)


def test_trains_through_the_recipe_and_leaves_the_start_alone(tiny_lm, tmp_path):
    before = weights_digest(tiny_lm.network)
    trained = recipe(max_steps=2).train(tiny_lm, {**DATA, "system": [models.SYSTEMS["warm"]] * 4}, tmp_path / "run")
    assert weights_digest(tiny_lm.network) == before != weights_digest(trained.network)
    history = training_history(tmp_path / "run")
    assert {"weight/brief", "rewards/friendly/mean", "kl"} <= set(history.column_names)
    with pytest.raises(UsageError, match="other"):
        other = recipe(max_steps=2, reward=lambda prompts, texts: np.ones((len(texts), 2)))
        other.train(tiny_lm, {**DATA, "system": [models.SYSTEMS["warm"]] * 4}, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"samples": 3}, "multiple of samples"),
        ({"samples": 1}, "samples"),
        ({"beta": -1.0}, "beta"),
        ({"unit": "metres"}, "unit"),
        ({"scale_rewards": "prompt"}, "scale_rewards"),
        ({"aggregation": "sum"}, "aggregation"),
        ({"groups": ("a", "a")}, "groups"),
        ({"dual": DualWeights(shares=(1.0, 1.0, 1.0))}, "3 shares do not fit 2 groups"),
        ({"disagreement": (0.0,)}, "disagreement"),
        ({"response_tokens": 0}, "response_tokens"),
        ({"adapter": PromptTuning()}, "tuned prompt"),
    ],
)
def test_wrong_settings_are_refused(changes, word):
    with pytest.raises(UsageError, match=word):
        recipe(**changes)


def test_a_reward_is_needed_that_fits_its_groups_and_differs(tiny_lm, tmp_path):
    with pytest.raises(UsageError, match="no reward"):
        recipe(reward=None).train(tiny_lm, DATA, tmp_path / "none")
    with pytest.raises(DataError, match="do not fit"):
        recipe(reward=lambda prompts, texts: np.zeros(len(texts))).train(tiny_lm, DATA, tmp_path / "flat")
    with pytest.raises(DataError, match="worth the same to 'brief'"):
        recipe(reward=lambda prompts, texts: np.zeros((len(texts), 2))).train(tiny_lm, DATA, tmp_path / "same")
    with pytest.raises(DataError, match="takes 8 different prompts, and there are 4"):
        recipe(batch_size=32).train(tiny_lm, DATA, tmp_path / "few")
    with pytest.raises(DataError, match="leaves no room"):
        recipe(response_tokens=510).train(tiny_lm, DATA, tmp_path / "long")
    with pytest.raises(UsageError, match="no loss"):
        recipe().loss(tiny_lm, DATA)
