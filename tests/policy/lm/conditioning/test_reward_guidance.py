"""Reward-guided decoding against brute force over all tokens; batches; rollouts; the plain model at strength 0."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tiny_lm import PROMPTS, RESPONSES, SYSTEMS

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning import Conditioner, RewardGuidance, RewardGuided


def letters(prompts, responses):
    """Depends on the prompt too, so that rows that are mixed up show."""
    return [text.count("e") - 0.5 * text.count("l") + len(prompt) % 7 * len(text) / 50
            for prompt, text in zip(prompts, responses, strict=True)]  # fmt: skip


def next_logits(model, tokens):
    with torch.no_grad():
        return model.network(torch.tensor([tokens])).logits[0, -1].double()


def rollout(model, tokens, steps):
    """Greedy, token by token."""
    tokens = list(tokens)
    for _ in range(steps):
        if tokens[-1] in model.ends:
            break
        tokens.append(int(next_logits(model, tokens).argmax()))
    return tokens


def by_hand(model, prompt, written, *, strength, top_k, lookahead, others, reward=letters):
    """Probabilities of the next token, one candidate at a time."""
    before = model.prompt_tokens(prompt)
    log_p = torch.log_softmax(next_logits(model, [*before, *written]), 0).numpy()
    candidates = np.argsort(-log_p, kind="stable")[:top_k]
    scores = np.full(len(log_p), -np.inf)
    for token in candidates:
        whole = rollout(model, [*before, *written, int(token)], lookahead)
        text = model.decode(whole[len(before) :])
        scores[token] = log_p[token] + strength * reward([prompt], [text])[0]
    guided = np.exp(scores - np.logaddexp.reduce(scores))
    if others == "dropped":
        return guided
    mass = np.exp(log_p[candidates]).sum()
    plain = np.exp(log_p)
    plain[candidates] = 0.0
    return plain + mass * guided


@pytest.mark.parametrize(
    ("top_k", "lookahead", "others"), [(10**6, 0, "dropped"), (5, 3, "dropped"), (5, 3, "kept"), (1, 2, "kept")]
)
def test_probabilities_are_those_of_brute_force(tiny_lm, top_k, lookahead, others):
    options = {"strength": 0.7, "top_k": top_k, "lookahead": lookahead, "others": others}
    guidance = RewardGuidance(tiny_lm, PROMPTS, letters, **options)
    written = {0: [], 2: tiny_lm.response_tokens("They live", end=False)}
    for prompt, tokens in written.items():
        ids = torch.tensor([[tiny_lm.pad] * 3 + tiny_lm.prompt_tokens(PROMPTS[prompt]) + tokens])
        plain = next_logits(tiny_lm, ids[0, 3:].tolist())[None]
        found = torch.softmax(guidance(ids, plain).double(), dim=1)[0].numpy()
        np.testing.assert_allclose(found, by_hand(tiny_lm, PROMPTS[prompt], tokens, **options), atol=2e-5)


def test_two_tokens_have_the_probability_of_brute_force(tiny_lm):
    options = {"strength": 1.5, "top_k": 3, "lookahead": 2, "others": "dropped"}
    expected = {}
    first = by_hand(tiny_lm, PROMPTS[1], [], **options)
    for a in np.flatnonzero(first):
        if int(a) in tiny_lm.ends:
            expected[(int(a),)] = first[a]
            continue
        second = by_hand(tiny_lm, PROMPTS[1], [int(a)], **options)
        expected |= {(int(a), int(b)): first[a] * second[b] for b in np.flatnonzero(second)}
    assert sum(expected.values()) == pytest.approx(1.0)
    made = RewardGuided(tiny_lm, {"a": letters}, **options).generate([PROMPTS[1]], "a", n=400, max_tokens=2)
    # What is written has the log-probability of the guided policy, and comes as often as it says.
    for tokens, log_prob in zip(made.tokens, made.log_probs, strict=True):
        assert np.exp(log_prob) == pytest.approx(expected[tokens], abs=1e-4)
    counts = {tokens: made.tokens.count(tokens) / 400 for tokens in expected}
    for tokens, p in expected.items():
        assert abs(counts[tokens] - p) < 4.5 * np.sqrt(p * (1 - p) / 400) + 1e-9


def test_greedy_decoding_is_the_best_candidate_at_each_step(tiny_lm):
    options = {"strength": 3.0, "top_k": 3, "lookahead": 3, "others": "dropped"}
    made = RewardGuided(tiny_lm, {"a": letters}, **options).generate(PROMPTS, "a", max_tokens=4, temperature=0)
    for k, prompt in enumerate(PROMPTS):
        written = []
        while len(written) < 4 and (not written or written[-1] not in tiny_lm.ends):
            written.append(int(by_hand(tiny_lm, prompt, written, **options).argmax()))
        assert made.tokens[k] == tuple(written)


def test_strength_zero_is_the_plain_model_and_a_small_one_is_near_it(tiny_lm):
    plain = tiny_lm.generate(PROMPTS, n=3, max_tokens=12, rng=4)
    for others in ("dropped", "kept"):
        guided = RewardGuided(tiny_lm, {"a": letters}, strength=0.0, others=others)
        made = guided.generate(PROMPTS, "a", n=3, max_tokens=12, rng=4)
        assert made.texts == plain.texts
        np.testing.assert_allclose(made.log_probs, plain.log_probs, atol=1e-4)
    near = RewardGuided(tiny_lm, {"a": letters}, strength=1e-9, lookahead=0, others="kept")
    assert near.generate(PROMPTS, "a", n=3, max_tokens=12, rng=4).texts == plain.texts


def test_one_call_of_the_reward_a_step_and_none_for_what_is_shared_or_ended(tiny_lm):
    calls = []

    def counted(prompts, responses):
        calls.append(len(responses))
        return letters(prompts, responses)

    guidance = RewardGuidance(tiny_lm, PROMPTS[:2], counted, top_k=3, lookahead=1)
    made = tiny_lm.generate(PROMPTS[:2], n=4, max_tokens=6, processors=[guidance], rng=1)
    assert len(calls) == guidance.calls <= made.n_tokens.max() and sum(calls) == guidance.scored
    assert calls[0] == 2 * 3
    for step, scored in enumerate(calls):
        states = {
            (prompt, tokens[:step])
            for prompt, tokens in zip(made.prompt, made.tokens, strict=True)
            if len(tokens) > step
        }
        assert scored == 3 * len(states)


def test_what_is_written_does_not_depend_on_the_batches(tiny_lm):
    one = RewardGuidance(tiny_lm, PROMPTS, letters, top_k=4, lookahead=2)
    texts = [
        tiny_lm.generate(PROMPTS, n=2, max_tokens=4, processors=[one], rng=1, batch_size=size).texts
        for size in (1, 3, None)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_log_probs_of_the_policy_do_not_depend_on_the_batches(tiny_lm):
    from pluralism.policy.lm.conditioning.step_log_probs import StepLogProbs

    found = []
    for size in (1, 3, None):
        steps = StepLogProbs()
        made = tiny_lm.generate(PROMPTS, n=2, max_tokens=9, processors=[steps], rng=1, batch_size=size)
        # A number for each row and step: whole vocabularies of many batches would fill the memory.
        assert max(kept.numel() for batch in steps._batches for kept in batch) <= 8
        np.testing.assert_allclose(steps.into(made).log_probs, made.log_probs, atol=1e-4)
        found.append(made.texts)
    assert found[0] == found[1] == found[2]


def test_guidance_serves_the_group_that_it_is_for(tiny_lm):
    rewards = {"warm": lambda prompts, responses: [float("friend" in text) for text in responses]}
    rewards["plain"] = lambda prompts, responses: [-float("friend" in text) for text in responses]
    guided = RewardGuided(tiny_lm, rewards, strength=8.0, top_k=3, lookahead=6)
    assert isinstance(guided, Conditioner) and guided.groups == ("warm", "plain")
    texts = {group: guided.generate(PROMPTS, group, max_tokens=20, rng=0).texts for group in rewards}
    share = {
        (group, judge): np.mean(judge_of(PROMPTS, texts[group]))
        for group, (judge, judge_of) in itertools.product(texts, rewards.items())
    }
    assert share["warm", "warm"] == 1.0 and share["plain", "plain"] == 0.0


def test_system_messages_go_with_it(tiny_lm):
    told = {"warm": SYSTEMS["warm"]}
    guided = RewardGuided(tiny_lm, {"warm": letters}, strength=0.0, system=told)
    assert guided.generate(PROMPTS[:1], "warm", temperature=0, max_tokens=60).texts[0] == RESPONSES["warm"][0]
    strong = RewardGuided(tiny_lm, {"warm": letters}, strength=1e-6, top_k=2, lookahead=1, system=told)
    assert strong.generate(PROMPTS[:1], "warm", temperature=0, max_tokens=60).texts[0] == RESPONSES["warm"][0]


def test_wrong_inputs(tiny_lm):
    for options, message in (
        ({"strength": np.inf}, "strength"),
        ({"top_k": 0}, "top_k"),
        ({"lookahead": -1}, "lookahead"),
        ({"others": "halved"}, "others"),
    ):
        with pytest.raises(UsageError, match=message):
            RewardGuided(tiny_lm, {"a": letters}, **options)
    with pytest.raises(UsageError, match="different groups"):
        RewardGuided(tiny_lm, {"a": letters}, system={"b": "x"})
    with pytest.raises(UsageError, match="no prompts"):
        RewardGuided(tiny_lm, {"a": letters}).generate("Who?", "a")
    with pytest.raises(UsageError, match="none of the prompts"):
        tiny_lm.generate(["Who?"], max_tokens=2, processors=[RewardGuidance(tiny_lm, PROMPTS, letters)])
    with pytest.raises(UsageError, match="no group 'z'"):
        RewardGuided(tiny_lm, {"a": letters}).generate(PROMPTS, "z")
    with pytest.raises(DataError, match="shape"):
        wrong = RewardGuided(tiny_lm, {"a": lambda prompts, responses: [1.0]})
        wrong.generate(PROMPTS, "a", max_tokens=1)
