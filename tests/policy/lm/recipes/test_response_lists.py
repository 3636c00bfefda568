"""Losses on lists of responses: each equals its formula on the model's log-probabilities, trains, and refuses junk."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import DataError, DataWarning, MissingExtraError, UsageError
from pluralism.policy import pro_loss
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.recipes import recipe_by_name
from pluralism.policy.lm.recipes.pro import PRO
from pluralism.policy.lm.recipes.sami import SAMI
from pluralism.policy.lm.recipes.soft_sppo import SoftSPPO
from pluralism.policy.lm.recipes.trpa import TRPA
from pluralism.policy.lm.run_folder import weights_digest

FEW = {"batch_size": 2, "max_steps": 3, "learning_rate": 1e-3, "log_every": 1}
LISTS = {
    "prompt": models.PROMPTS[:3],
    "responses": [
        ["It is blue.", "It is blue, my friend.", "No."],
        ["They make honey.", "Honey, my dear friend!"],
        ["In water.", "They live in cool water!", "On land.", "They live."],
    ],
    "win_rates": [[0.6, 0.7, 0.2], [0.45, 0.55], [0.8, 0.6, 0.1, 0.5]],
    "rewards": [[0.5, 2.0, -1.0], [0.0, 1.0], [3.0, 1.0, -2.0, 0.5]],
    "levels": [[2, 1, 4], [1, 1], [1, 2, 3, 2]],
}
SAMI_ROWS = {
    "prompt": models.PROMPTS[:2],
    "systems": [list(models.SYSTEMS.values())] * 2,
    "responses": [["It is blue.", "My dear friend, it is blue!"], ["They make honey.", "My dear friend, honey!"]],
}
RECIPES = [
    (SoftSPPO(beta=0.5, **{**FEW, "learning_rate": 1e-5}), LISTS),
    (PRO(**FEW), LISTS),
    (TRPA(**FEW), LISTS),
    (SAMI(**FEW), SAMI_ROWS),
]


@pytest.fixture(scope="module")
def other(tiny_lm):
    """The tiny model with weights a little off, as a policy that has moved from its reference."""
    moved = tiny_lm.copy()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in moved.network.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=generator)
    return moved


def scored(model, row, **options):
    said = LISTS["responses"][row]
    return model.log_probs([LISTS["prompt"][row]] * len(said), said, **options)


@pytest.mark.parametrize("normaliser", ["half", "samples"])
@pytest.mark.parametrize("kept", ["all", "extremes"])
def test_soft_sppo(tiny_lm, other, normaliser, kept):
    eta, losses = 2.0, []
    for row, rates in enumerate(LISTS["win_rates"]):
        ratio = scored(other, row).total - scored(tiny_lm, row).total
        p = np.array(rates)
        log_z = eta / 2 if normaliser == "half" else np.log(np.mean(np.exp(eta * p)))
        each = (ratio - eta * p + log_z) ** 2
        losses.append(each.mean() if kept == "all" else (each[p.argmax()] + each[p.argmin()]) / 2)
    recipe = SoftSPPO(beta=0.5, normaliser=normaliser, responses=kept, batch_size=3)
    assert recipe.loss(other, LISTS, reference=tiny_lm) == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("use_rewards", [True, False])
def test_pro(tiny_lm, use_rewards):
    losses = []
    for row, rewards in enumerate(LISTS["rewards"]):
        order = np.argsort(rewards)[::-1]
        rho, found = np.array(rewards)[order], scored(tiny_lm, row)
        pi, loss = found.mean[order], 0.0
        for k in range(len(order) - 1):
            gaps = rho[k] - rho[k + 1 :] if use_rewards else np.ones(len(order) - k - 1)
            top = np.exp(pi[k] * gaps.max())
            loss -= np.log(top / (top + np.sum(np.exp(pi[k + 1 :] * gaps))))
        losses.append(loss - 0.1 * (len(order) - 1) ** 2 * found.total[order[0]])
    recipe = PRO(use_rewards=use_rewards, sft_weight=0.1, batch_size=3)
    assert recipe.loss(tiny_lm, LISTS) == pytest.approx(np.mean(losses), rel=1e-4)


def test_trpa(tiny_lm, other):
    losses = []
    for row, levels in enumerate(LISTS["levels"]):
        now, then = scored(other, row), scored(tiny_lm, row)
        ratio = (now.total - then.total) / now.n_tokens
        pairs = [
            np.log1p(np.exp(-1.3 * (2.5 if a == 1 else 1.0) * (ratio[i] - ratio[j])))
            for i, a in enumerate(levels)
            for j, b in enumerate(levels)
            if a < b
        ]
        losses.append(np.mean(pairs) if pairs else 0.0)
    assert TRPA(beta=1.3, batch_size=3).loss(other, LISTS, reference=tiny_lm) == pytest.approx(
        np.mean(losses), rel=1e-4
    )


def test_sami(tiny_lm):
    losses = []
    for prompt, systems, said in zip(*SAMI_ROWS.values(), strict=True):
        x = np.array([tiny_lm.log_probs([prompt] * 2, said, system=system).mean for system in systems])
        rows = np.logaddexp.reduce(x, axis=1) - x.diagonal()
        columns = np.logaddexp.reduce(x, axis=0) - x.diagonal()
        losses.append((rows.mean() + columns.mean()) / 2)
    assert SAMI(batch_size=2).loss(tiny_lm, SAMI_ROWS) == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(("recipe", "rows"), RECIPES, ids=lambda x: getattr(x, "name", ""))
def test_a_few_steps_lower_the_loss_and_leave_the_start_alone(tiny_lm, tmp_path, recipe, rows):
    before = weights_digest(tiny_lm.network)
    trained = recipe.train(tiny_lm, rows, tmp_path / "run")
    reference = {"reference": tiny_lm} if recipe.compares else {}
    assert recipe.loss(trained, rows, **reference) < recipe.loss(tiny_lm, rows)
    assert weights_digest(tiny_lm.network) == before
    assert trained.generate(models.PROMPTS[:1], max_tokens=5).n_tokens[0] > 0


def test_an_adapter_is_trained_against_the_network_without_it(tiny_lm, tmp_path):
    recipe = SoftSPPO(beta=0.5, adapter=Lora(rank=2), **{**FEW, "learning_rate": 2e-4})
    trained = recipe.train(tiny_lm, LISTS, tmp_path / "run")
    assert hasattr(trained.network, "peft_config")
    assert recipe.loss(trained, LISTS, reference=tiny_lm) < recipe.loss(tiny_lm, LISTS)


def test_soft_targets_keep_how_close_it_was(tiny_lm):
    close = {**LISTS, "win_rates": [[0.5, 0.5, 0.5], [0.5, 0.5], [0.5] * 4]}
    assert SoftSPPO(beta=0.5).loss(tiny_lm, close) == pytest.approx(0.0, abs=1e-8)
    assert SoftSPPO(beta=0.5).loss(tiny_lm, LISTS) > 0.01


def test_sami_draws_one_response_under_each_principle(tiny_lm):
    rows = SAMI.draw(tiny_lm, models.PROMPTS, tuple(models.SYSTEMS.values()), max_tokens=40)
    assert rows["systems"][0] == list(models.SYSTEMS.values())
    assert all("dear friend" in warm and "dear friend" not in plain for plain, warm in rows["responses"])


def test_a_response_that_is_too_long_is_cut_with_a_warning(tiny_lm):
    length = len(tiny_lm.prompt_tokens(models.PROMPTS[0])) + 3
    with pytest.warns(DataWarning, match="cut at their end"):
        TRPA(max_tokens=length, batch_size=1).loss(tiny_lm, {k: v[:1] for k, v in LISTS.items()})
    with pytest.raises(DataError, match="leaves none for a response"):
        TRPA(max_tokens=3).loss(tiny_lm, LISTS)


@pytest.mark.parametrize(
    ("recipe", "changes", "word"),
    [
        (SoftSPPO(), {"win_rates": [[0.5, 0.5, 1.5], [0.5, 0.5], [0.5] * 4]}, "win_rates"),
        (SoftSPPO(), {"win_rates": [[0.5, 0.5], [0.5, 0.5], [0.5] * 4]}, "win_rates"),
        (SoftSPPO(), {"responses": ["a", "b", "c"]}, "responses"),
        (PRO(), {"rewards": [[0.5, 2.0, float("nan")], [0.0, 1.0], [0.0] * 4]}, "rewards"),
        (PRO(), {"responses": [["one"], ["one"], ["one"]]}, "responses"),
        (TRPA(), {"levels": [[1, 2, 0], [1, 1], [1, 1, 1, 2]]}, "levels"),
        (TRPA(), {"levels": [[1, 1, 1], [1, 1], [2, 2, 2, 2]]}, "different levels"),
    ],
)
def test_rows_that_do_not_fit_are_named(tiny_lm, recipe, changes, word):
    with pytest.raises(DataError, match=word):
        recipe.loss(tiny_lm, {**LISTS, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"responses": [["a"], ["b"]]},
        {"systems": [["x", "x"], ["x", "y"]]},
        {"systems": [["x", "y", "z"], ["x", "y"]], "responses": [["a", "b", "c"], ["a", "b"]]},
    ],
)
def test_principles_and_responses_must_fit(tiny_lm, changes):
    with pytest.raises(DataError):
        SAMI().loss(tiny_lm, {**SAMI_ROWS, **changes})


def test_a_reference_that_would_do_nothing_is_refused(tiny_lm, tmp_path):
    with pytest.raises(UsageError, match="compares with no reference"):
        PRO(**FEW).train(tiny_lm, LISTS, tmp_path / "run", reference=tiny_lm)
    with pytest.raises(UsageError, match="compares with no reference"):
        SAMI(**FEW).loss(tiny_lm, SAMI_ROWS, reference=tiny_lm)


def test_a_tuned_prompt_has_a_loss_that_compares_with_nothing(tiny_lm, tmp_path):
    recipe = PRO(adapter=PromptTuning(tokens=3), sft_weight=0.0, **{**FEW, "learning_rate": 0.1})
    tuned = recipe.train(tiny_lm, LISTS, tmp_path / "run")
    by_hand = []
    for row, rewards in enumerate(LISTS["rewards"][:2]):
        order = np.argsort(rewards)[::-1]
        by_hand.append(float(pro_loss(scored(tuned, row).mean[order], rewards=np.array(rewards)[order])))
    first = {name: cells[:2] for name, cells in LISTS.items()}
    assert recipe.loss(tuned, first) == pytest.approx(np.mean(by_hand), rel=1e-4)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (SoftSPPO, {"beta": 0.0}),
        (SoftSPPO, {"responses": "some"}),
        (PRO, {"sft_weight": -1.0}),
        (TRPA, {"beta": -1.0}),
        (TRPA, {"anisotropy": 0.0}),
    ],
)
def test_wrong_settings_are_refused(recipe, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        recipe(**options)


def test_nash_md_says_what_serves_where_this_trl_has_dropped_it():
    assert importlib.util.find_spec("trl.experimental.nash_md") is None
    with pytest.raises(MissingExtraError, match="has no NashMDTrainer") as told:
        recipe_by_name("nash_md")
    assert "SoftSPPO" in str(told.value)
