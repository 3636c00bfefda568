"""Best of n for a group and for all groups: the right draw is kept, by enumeration, and bounds hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_lm import PROMPTS

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning import BestOfN, Conditioner, SinglePolicy, WelfareBestOfN

GROUPS = ("short", "warm")


def short(prompts, responses):
    return [-len(text) for text in responses]


def warm(prompts, responses):
    return [float("friend" in text) for text in responses]


REWARDS = {"short": short, "warm": warm}


@pytest.fixture(scope="module")
def base(tiny_lm):
    return SinglePolicy(tiny_lm, GROUPS)


def test_the_best_of_each_n_is_kept(base):
    best = BestOfN(base, REWARDS, 4)
    assert isinstance(best, Conditioner) and best.groups == GROUPS and best.name == "best of 4"
    drawn = base.generate(PROMPTS, "short", n=12, max_tokens=30, rng=3)
    choice = best.choose(PROMPTS, "short", n=3, max_tokens=30, rng=3)
    assert choice.candidates.texts == drawn.texts
    for k in range(len(PROMPTS)):
        for i in range(3):
            pool = drawn.of_prompt(k)[4 * i : 4 * i + 4]
            assert choice.chosen.of_prompt(k)[i] == min(pool, key=len)
    assert choice.chosen.sample.tolist() == [0, 1, 2] * 4
    made = best.generate(PROMPTS, "short", n=3, max_tokens=30, rng=3)
    assert made.texts == choice.chosen.texts
    np.testing.assert_array_equal(made.log_probs, choice.chosen.log_probs)


def test_one_draw_is_the_base_itself(base):
    assert (
        BestOfN(base, REWARDS, 1).generate(PROMPTS, "warm", max_tokens=10, rng=2).texts
        == base.generate(PROMPTS, "warm", max_tokens=10, rng=2).texts
    )


def test_more_draws_serve_the_group_better_and_the_bounds_are_told(base):
    choice = BestOfN(base, REWARDS, 8).choose(PROMPTS, "short", n=2, max_tokens=30)
    assert choice.kl_bound == pytest.approx(np.log(8) - 7 / 8) and choice.win_rate_bound == pytest.approx(8 / 9)
    assert (np.diff(choice.curve) >= -1e-9).all()
    assert choice.curve[0] == pytest.approx(choice.reward.mean())
    assert choice.curve[-1] == pytest.approx(choice.reward.max(axis=1).mean())
    table = choice.to_frame()
    assert table.num_rows == 64 and sum(table["kept"].to_pylist()) == 8
    assert json.loads(choice.to_json())["n"] == 8
    assert "8 choices of 8" in repr(choice)


def test_all_draws_are_scored_in_one_call(base):
    calls = []

    def counted(prompts, responses):
        calls.append(len(responses))
        return [float(prompt[-1] == "?") for prompt in prompts]

    BestOfN(base, {"short": counted}, 5).generate(PROMPTS, "short", n=2, max_tokens=5)
    assert calls == [40]


class Fixed:
    """Answers that are known: of each prompt the numbers from 0."""

    name, groups = "fixed", ("a", "b")

    def __init__(self, model):
        self.model = model

    def generate(self, prompts, group, *, n, **options):
        from dataclasses import replace

        made = self.model.generate(prompts, n=n, max_tokens=1)
        return replace(made, texts=tuple(str(sample) for sample in made.sample))


@pytest.mark.parametrize(("rule", "wanted"), [("worst group", "2"), ("utilitarian", "0")])
def test_one_answer_for_everybody(tiny_lm, rule, wanted):
    # Group b's unit is a thousand times group a's: only the order within each may count.
    a, b = [6.0, 5.0, 4.0, 0.0, 3.0, 1.0, 2.0], [3e3, 2e3, 4e3, 6e3, 5e3, 1e3, 0.0]
    rewards = {
        "a": lambda prompts, responses: [a[int(text)] for text in responses],
        "b": lambda prompts, responses: [b[int(text)] for text in responses],
    }
    made = WelfareBestOfN(Fixed(tiny_lm), rewards, 7, rule=rule).generate(PROMPTS[:2], "a", n=1)
    assert made.texts == (wanted, wanted)
    by_size = WelfareBestOfN(Fixed(tiny_lm), rewards, 7, rule="utilitarian", shares=[0.01, 0.99])
    assert by_size.generate(PROMPTS[:1], "b").texts == ("3",)
    other = WelfareBestOfN(Fixed(tiny_lm), rewards, 7, rule="worst group", unit="normalised")
    assert other.choose(PROMPTS[:1]).chosen.texts == ("2",)
    with pytest.raises(UsageError, match="no group"):
        by_size.generate(PROMPTS, "z")


def test_wrong_inputs(base):
    with pytest.raises(UsageError, match="n=0"):
        BestOfN(base, REWARDS, 0)
    with pytest.raises(UsageError, match="cannot answer for the group 'other'"):
        BestOfN(base, {"other": short}, 2)
    with pytest.raises(UsageError, match="names of groups"):
        BestOfN(base, {}, 2)
    with pytest.raises(UsageError, match="rule='best'"):
        WelfareBestOfN(base, REWARDS, 2, rule="best")
    with pytest.raises(UsageError, match="unit='raw'"):
        WelfareBestOfN(base, REWARDS, 2, unit="raw")
    with pytest.raises(UsageError, match="no group 'z'"):
        BestOfN(base, REWARDS, 2).generate(PROMPTS, "z")
    for reward, message in (
        (lambda prompts, responses: [[0.0, 1.0]] * len(responses), "shape"),
        (lambda prompts, responses: [np.nan] * len(responses), "nan"),
    ):
        with pytest.raises(DataError, match=message):
            BestOfN(base, {"short": reward}, 2).generate(PROMPTS, "short", max_tokens=2)
    with pytest.raises(UsageError, match="no reward"):
        BestOfN(base, {"short": 3.0}, 2).generate(PROMPTS, "short", max_tokens=2)
