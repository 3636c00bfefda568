"""Directional tuning: it follows directions more, goes on after a kill to the same result, refuses what cannot be."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tiny_lm as models

from pluralism.errors import DataError, UsageError
from pluralism.files.checkpoint import Checkpoint
from pluralism.policy.lm import PromptTuning, train_from_scratch
from pluralism.policy.lm.direction_samples import Kept
from pluralism.policy.lm.directional_rounds import SHOWN
from pluralism.policy.lm.directional_tuning import DirectionalTuning
from pluralism.policy.lm.recipes.supervised import SupervisedTuning
from pluralism.solvers.sphere import cone_directions

CALM, LOUD = "plainness", "verbosity"


def score(prompts, responses):
    """Plainness falls with friends and marks of exclamation, verbosity is words."""
    plain = [-float("friend" in text) - text.count("!") for text in responses]
    return np.array([[p, float(len(text.split()))] for p, text in zip(plain, responses, strict=True)])


def recipe(**changes):
    options = {
        "attributes": (CALM, LOUD),
        "n": 4,
        "n_rounds": 2,
        "directions_per_prompt": 4,
        "tuning": SupervisedTuning(learning_rate=1e-3, max_steps=4, batch_size=8, schedule="constant"),
        "max_tokens": 32,
        "samples": 3,
        "angle": np.pi / 2,
        "n_bootstrap": 200,
    }
    return DirectionalTuning(**{**options, **changes})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("directional") / "run"


@pytest.fixture(scope="module")
def run(tiny_lm, place):
    return recipe().run(tiny_lm, models.PROMPTS, score, place)


@pytest.mark.slow
def test_turning_the_direction_turns_what_is_said_more_than_at_the_start(tmp_path):
    made = recipe(
        n=8,
        directions_per_prompt=24,
        samples=8,
        tuning=SupervisedTuning(learning_rate=1e-3, max_steps=60, batch_size=32, schedule="cosine"),
    )
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(4), 40)
    v = cone_directions(len(prompts), 2, rng=rng, centre=made.axis, angle=made.angle)
    # what directions ask for, taught with a fifth of mistakes
    warm = (v[:, 1] > 0) ^ (rng.random(len(v)) < 0.2)
    start = train_from_scratch(
        [models.PROMPTS[k] for k in prompts],
        [models.RESPONSES["warm" if w else "plain"][k] for k, w in zip(prompts, warm, strict=True)],
        systems=[made.system_message(each) for each in v],
        vocabulary=400,
        hidden=64,
        steps=250,
        device="cpu",
    )
    run = made.run(start, models.PROMPTS, score, tmp_path / "run")
    before, after = run.trend(LOUD, round=0), run.trend(LOUD)
    assert after.spearman > 0.7 and after.slope_low > 0
    assert after.slope > before.slope
    assert run.volumes.gain_low > 0


def test_rounds_are_measured_alike(run, tiny_lm):
    assert run.taken.shape == (3, 9, 4, 2) and run.n_rounds == 2
    # in units of the start: mean 0 and standard deviation 1 of single responses
    assert run.taken[0].mean(axis=(0, 1)) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert run.kl[0] == pytest.approx(np.zeros(9)) and run.kl[-1].mean() > 0
    np.testing.assert_allclose(run.reward[1], np.sum(run.taken[1].mean(axis=1) * run.directions, axis=1))
    front = run.fronts[-1]
    assert (front.low <= front.mean).all() and (front.mean <= front.high).all()
    assert front.hypervolume == run.volumes.value[-1]


def test_the_kl_is_of_what_is_said_under_each_direction(run, tiny_lm):
    asked = models.PROMPTS * 9
    told = [recipe().system_message(v) for v in run.directions for _ in models.PROMPTS]
    drawn = run.model(1).generate(asked, n=3, max_tokens=32, system=told, rng=np.random.default_rng([0, SHOWN]))
    before = [tiny_lm.prompt_tokens(prompt, system=message) for prompt, message in zip(asked, told, strict=True)]
    ratio = drawn.log_probs - tiny_lm.token_log_probs([before[k] for k in drawn.prompt], drawn.tokens).total
    np.testing.assert_allclose(run.kl[1], ratio.reshape(9, -1).mean(axis=1), atol=1e-4)


def test_the_models_of_rounds_are_there_and_know_directions(run, tiny_lm):
    told = [recipe().system_message(v) for v in ([0.0, 1.0], [0.2, -1.0])]
    assert told[0] == (
        "You are a helpful assistant. Your response should maximize weighted rating = plainness*0 + verbosity*100"
    )
    model = run.model()
    lengths = [
        model.generate(models.PROMPTS, n=8, max_tokens=32, system=system, rng=1).n_tokens.mean() for system in told
    ]
    assert min(lengths) > 1
    with pytest.raises(UsageError, match="Round 0"):
        run.model(0)


def test_tables_and_text(run):
    table = run.to_frame()
    assert table.num_rows == 27 and {"direction_verbosity", "mean_plainness", "kl"} <= set(table.column_names)
    document = json.loads(run.to_json())
    assert document["gain"] == pytest.approx(run.volumes.gain) and len(document["rows"]) == 27
    assert "gain over the start" in repr(run)


def test_a_finished_run_is_read_and_another_is_refused(run, place, tiny_lm):
    again = recipe().run(tiny_lm, models.PROMPTS, score, place)
    np.testing.assert_array_equal(again.taken, run.taken)
    with pytest.raises(UsageError, match="judge is not the one"):
        recipe().run(tiny_lm, models.PROMPTS, lambda prompts, texts: 2 * score(prompts, texts), place)
    with pytest.raises(UsageError, match="other recipe"):
        recipe(n=7).run(tiny_lm, models.PROMPTS, score, place)
    with pytest.raises(UsageError, match="other evaluation, prompts"):
        recipe().run(tiny_lm, models.PROMPTS[:2], score, place)


@pytest.mark.parametrize("at", ["fine-tuning", "front"])
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(run, tiny_lm, tmp_path, at):
    def killed(what):
        if what.startswith("round 2") and at in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recipe().run(tiny_lm, models.PROMPTS, score, tmp_path / "run", progress=killed)
    resumed = recipe().run(tiny_lm, models.PROMPTS, score, tmp_path / "run")
    for name in ("taken", "kl", "n_tokens", "reference", "counts"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(run, name))


def test_a_warm_up_imitates_given_responses(tiny_lm, tmp_path):
    pool = (
        [prompt for prompt in models.PROMPTS for _ in models.RESPONSES],
        [models.RESPONSES[style][k] for k in range(4) for style in models.RESPONSES],
    )
    told = []

    def in_percent(prompts, responses):
        return score(prompts, responses) * [100.0, 1.0]

    run = recipe(n_rounds=1, n_bootstrap=20).run(
        tiny_lm, models.PROMPTS[:2], in_percent, tmp_path / "run", warm_up=pool, progress=told.append
    )
    assert run.n_rounds == 2 and sum("responses to each of" in what for what in told) == 1
    assert any("fine-tuning on 16" in what for what in told)
    # Of the two responses to a prompt the one is kept that its direction asks for, whatever the attributes' units.
    parts = Checkpoint(tmp_path / "run" / "parts")
    kept, scale = Kept.from_arrays(parts.get("kept 1")[0]), parts.get("scale")[0]["scale"]
    styles = set()
    for prompt, message, response in zip(kept.prompts, kept.systems, kept.responses, strict=True):
        v = np.array([int(weight) for weight in re.findall(r"\*(-?\d+)", message)]) / 100
        said = [text for asked, text in zip(*pool, strict=True) if asked == prompt]
        worth = dict(zip(said, in_percent([prompt] * 2, said) / scale @ v, strict=True))
        assert worth[response] > max(worth.values()) - 0.05
        styles.add("friend" in response)
    assert len(kept.prompts) == 16 and styles == {True, False}


def test_a_held_out_judge_on_other_prompts(tiny_lm, tmp_path):
    run = recipe(n_rounds=1, n_bootstrap=20, unit="raw", reference=(-2.0, 0.0)).run(
        tiny_lm,
        models.PROMPTS[:3],
        score,
        tmp_path / "run",
        evaluation=models.PROMPTS[3:],
        judge=lambda prompts, texts: 10 + score(prompts, texts),
    )
    assert run.taken.shape == (2, 9, 1, 2) and run.taken.min() > 5
    assert run.reference.tolist() == [-2.0, 0.0]


def test_responses_that_are_cut_are_never_kept(tiny_lm, tmp_path):
    with pytest.raises(DataError, match="all were cut at 2 tokens"):
        recipe(max_tokens=2, unit="raw").run(tiny_lm, models.PROMPTS, score, tmp_path / "run")


def test_a_start_whose_responses_do_not_differ_is_refused(tiny_lm, tmp_path):
    with pytest.raises(DataError, match="same 'plainness'"):
        recipe().run(tiny_lm, models.PROMPTS, lambda prompts, texts: np.zeros((len(texts), 2)), tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "word"),
    [(lambda p, t: np.zeros(len(t)), "does not fit"), (lambda p, t: np.full((len(t), 2), np.nan), "not finite")],
)
def test_a_score_must_fit(tiny_lm, tmp_path, given, word):
    with pytest.raises(DataError, match=word):
        recipe().run(tiny_lm, models.PROMPTS, given, tmp_path / "run")


def test_prompts_must_be_texts(tiny_lm, tmp_path):
    for prompts in ("one text", [], [1]):
        with pytest.raises(DataError, match="prompts"):
            recipe().run(tiny_lm, prompts, score, tmp_path / "run")


def test_unknown_attributes_and_rounds(run):
    with pytest.raises(UsageError, match="no attribute"):
        run.trend("warmth")
    with pytest.raises(UsageError, match="no round 3"):
        run.trend(LOUD, round=3)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n": 1}, "n=1"),
        ({"n_rounds": 0}, "n_rounds"),
        ({"samples": 1.5}, "samples"),
        ({"angle": 4.0}, "angle"),
        ({"unit": "sd"}, "unit"),
        ({"tuning": SupervisedTuning(adapter=PromptTuning())}, "tuned prompt"),
        ({"rng": -1}, "rng"),
        ({"attributes": ("a", "a")}, "attributes"),
        ({"reference": (0.0,)}, "reference"),
        ({"centre": (0.0, 0.0)}, "Directions"),
        ({"shown": ((1.0, 2.0, 3.0),)}, "Directions"),
    ],
)
def test_wrong_settings_are_refused(changes, word):
    with pytest.raises(UsageError, match=word):
        recipe(**changes)
