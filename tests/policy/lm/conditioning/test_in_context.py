"""Examples chosen by margin and by likeness, within a budget; what the model reads; rows put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_lm import PROMPTS, RESPONSES

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning import Conditioner, ExamplePool, InContext, example_pools
from pluralism.policy.lm.conditioning.rows import generate_apart


class Letters:
    """Encodes a text by how often letters occur in it."""

    name, revision, space, dim = "letters", "1", "letters", 26

    def encode(self, texts):
        return np.array([[text.lower().count(chr(97 + k)) for k in range(26)] for text in texts], dtype=float)


def length(prompt, response):
    return len(prompt) + len(response)


ROWS = [(prompt, RESPONSES[style][k], style) for k, prompt in enumerate(PROMPTS) for style in RESPONSES]


@pytest.fixture(scope="module")
def pools():
    rewards = [[float(style == "plain"), (k + 1.0) * (style == "warm")] for k, (_, _, style) in enumerate(ROWS)]
    return example_pools([row[0] for row in ROWS], [row[1] for row in ROWS], rewards, ["plain", "warm"])


def test_a_pool_holds_what_the_group_likes_most(pools):
    for style in RESPONSES:
        assert pools[style].prompts == tuple(PROMPTS) and list(pools[style].responses) == RESPONSES[style]
    np.testing.assert_allclose(pools["plain"].margins, 0.5)
    np.testing.assert_allclose(pools["warm"].margins, [1.0, 2.0, 3.0, 4.0])


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.floats(0.1, 5))
def test_constants_of_prompts_and_scales_do_not_matter(constants, scale):
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(8, 2))
    asked, said = [row[0] for row in ROWS], [row[1] for row in ROWS]
    plain = example_pools(asked, said, rewards, ["a", "b"])
    shifted = example_pools(asked, said, scale * rewards + np.repeat(constants, 2)[:, None], ["a", "b"])
    for group in "ab":
        assert shifted[group].responses == plain[group].responses
        np.testing.assert_allclose(shifted[group].margins, scale * plain[group].margins, atol=1e-9)


def test_choice_by_margin_puts_the_best_last_and_never_shows_the_prompt(pools):
    pool = pools["warm"]
    assert [prompt for prompt, _ in pool.choose("Why?", 2)] == [PROMPTS[2], PROMPTS[3]]
    assert [prompt for prompt, _ in pool.choose(PROMPTS[3], 2)] == [PROMPTS[1], PROMPTS[2]]
    twice = ExamplePool(("x", "x", "y"), ("1", "2", "3"), np.array([3.0, 2.0, 1.0]))
    assert twice.choose("?", 3) == (("y", "3"), ("x", "1"))


def test_choice_by_likeness(pools):
    pool = pools["warm"].embedded(Letters())
    for k, prompt in enumerate(PROMPTS):
        other = prompt.upper()
        chosen = pool.choose(other, 1, similarity=1.0, feature=Letters().encode([other])[0])
        assert chosen == ((PROMPTS[k], RESPONSES["warm"][k]),)
    # Between both, by hand: places are .125, .375, .625, .875.
    feature = Letters().encode(["What do bees make, and why?"])[0]
    cosine = pool.features @ (feature / np.linalg.norm(feature))
    best = int(np.argmax(0.5 * np.array([0.125, 0.375, 0.625, 0.875]) + 0.5 * cosine))
    assert pool.choose("?", 1, similarity=0.5, feature=feature)[0][0] == PROMPTS[best]


def test_examples_that_do_not_fit_are_passed_over():
    pool = ExamplePool(("a", "b", "c"), ("x" * 50, "x" * 5, "x" * 4), np.array([3.0, 2.0, 1.0]))
    assert pool.choose("?", 3, n_tokens=length, budget=11) == (("c", "xxxx"), ("b", "xxxxx"))
    assert pool.choose("?", 3, n_tokens=length, budget=10) == (("b", "xxxxx"),)
    with pytest.raises(UsageError, match="No example of 3 fits into the budget"):
        pool.choose("?", 3, n_tokens=length, budget=4)
    with pytest.raises(UsageError, match="of the prompt itself"):
        ExamplePool(("a",), ("x",), np.array([1.0])).choose("a", 3, n_tokens=length, budget=9)


def test_wrong_pools_and_choices(pools):
    with pytest.raises(DataError, match="no pool"):
        ExamplePool((), (), np.array([]))
    with pytest.raises(DataError, match="no pool"):
        ExamplePool(("a",), ("b",), np.array([1.0, 2.0]))
    with pytest.raises(DataError, match="not finite"):
        ExamplePool(("a",), ("b",), np.array([np.nan]))
    with pytest.raises(DataError, match="Features of shape"):
        ExamplePool(("a",), ("b",), np.array([1.0]), np.zeros((2, 3)))
    with pytest.raises(UsageError, match="without features"):
        pools["warm"].choose("?", 1, similarity=0.5)
    with pytest.raises(DataError, match="3 features"):
        pools["warm"].embedded(Letters()).choose("?", 1, similarity=0.5, feature=np.ones(3))
    for options in ({"n": 0}, {"n": 1, "budget": 5}, {"n": 1, "similarity": 2.0}):
        with pytest.raises(UsageError, match="possible"):
            pools["warm"].choose("?", **options)
    with pytest.raises(DataError, match="'b' prefers no response"):
        example_pools(["x", "x"], ["1", "2"], [[1.0, 0.0], [0.0, 0.0]], ["a", "b"])
    with pytest.raises(DataError, match="shape"):
        example_pools(["x", "x"], ["1", "2"], [[1.0, 0.0]], ["a", "b"])


def test_the_model_reads_the_examples_of_each_prompt(tiny_lm, pools):
    shown = InContext(tiny_lm, pools, n_examples=2, similarity=1.0, encoder=Letters(), budget=200)
    assert isinstance(shown, Conditioner) and shown.groups == ("plain", "warm")
    examples = shown.examples(PROMPTS, "plain")
    assert all(len(pair) == 2 and prompt not in dict(pair) for prompt, pair in zip(PROMPTS, examples, strict=True))
    assert len(set(examples)) > 1
    made = shown.generate(PROMPTS, "plain", n=2, max_tokens=4, temperature=0)
    assert made.prompt.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and made.sample.tolist() == [0, 1] * 4
    for k, prompt in enumerate(PROMPTS):
        alone = tiny_lm.generate([prompt], max_tokens=4, temperature=0, examples=examples[k])
        assert made.of_prompt(k) == alone.texts * 2
    first = shown.generate(PROMPTS, "plain", max_tokens=4, rng=5)
    assert first.texts == shown.generate(PROMPTS, "plain", max_tokens=4, rng=5).texts


def test_the_budget_is_in_the_tokens_of_the_template(tiny_lm, pools):
    bare = len(tiny_lm.prompt_tokens(PROMPTS[0]))
    best = (PROMPTS[3], RESPONSES["warm"][3])
    cost = len(tiny_lm.prompt_tokens(PROMPTS[0], examples=[best])) - bare
    for budget, wanted in ((cost, (best,)), (cost - 1, ())):
        shown = InContext(tiny_lm, pools, n_examples=1, budget=budget).examples([PROMPTS[0]], "warm")[0]
        assert bool(wanted) == (best in shown)
        assert len(tiny_lm.prompt_tokens(PROMPTS[0], examples=shown)) - bare <= budget


def test_one_set_of_examples_is_one_call(tiny_lm):
    shown = (("Who?", "Me."),)
    made = generate_apart(tiny_lm, PROMPTS, [shown] * 4, n=1, rng=3, max_tokens=5)
    assert made.texts == tiny_lm.generate(PROMPTS, examples=shown, rng=3, max_tokens=5).texts


def test_wrong_settings(tiny_lm, pools):
    with pytest.raises(UsageError, match="needs an encoder"):
        InContext(tiny_lm, pools, similarity=0.5)
    with pytest.raises(UsageError, match="different groups"):
        InContext(tiny_lm, pools, system={"plain": "x"})
    with pytest.raises(UsageError, match="n_examples=0"):
        InContext(tiny_lm, pools, n_examples=0)
    with pytest.raises(UsageError, match="no group 'z'"):
        InContext(tiny_lm, pools).generate(PROMPTS, "z")
