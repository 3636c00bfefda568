"""The estimated KL against its closed form, and its error against its own spread."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import DataError
from pluralism.policy.lm.sampled_kl import monte_carlo_kl


def drawn(seed, prompts=60, samples=6):
    """Responses of categorical policies, one for each prompt, and their exact KL."""
    rng = np.random.default_rng(seed)
    policy, reference = rng.dirichlet(np.ones(5), size=prompts), rng.dirichlet(np.full(5, 4.0), size=prompts)
    exact = np.sum(policy * np.log(policy / reference), axis=1)
    prompt = np.repeat(np.arange(prompts), samples)
    said = np.array([rng.choice(5, p=policy[x]) for x in prompt])
    return np.log(policy[prompt, said]), np.log(reference[prompt, said]), prompt, exact


def test_unbiased_with_an_honest_error():
    errors = []
    for seed in range(150):
        log_policy, log_reference, prompt, exact = drawn(seed)
        found = monte_carlo_kl(log_policy, log_reference, prompt, np.ones(len(prompt), dtype=int))
        # of these prompts, whose spread is part of the standard error: less than one in z
        errors.append((found.value - exact.mean()) / found.standard_error)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.2)
    assert 0.4 < np.std(errors) < 1.05


def test_prompts_count_the_same_and_tokens_share_the_sum():
    found = monte_carlo_kl([-1.0, -1.0, -1.0, -2.0], [-2.0, -2.0, -2.0, -5.0], [0, 0, 0, 7], [2, 2, 2, 6])
    assert found.value == pytest.approx((1.0 + 3.0) / 2)
    assert found.per_token == pytest.approx((1 + 1 + 1 + 3) / 12)
    assert found.standard_error == pytest.approx(np.std([1.0, 3.0], ddof=1) / np.sqrt(2))
    assert (found.n_prompts, found.n_samples) == (2, 4)
    assert np.isnan(monte_carlo_kl([-1.0], [-1.5], [0], [1]).standard_error)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([-1.0], [-1.0, -2.0], [0], [1]), "do not fit"),
        (([], [], [], []), "do not fit"),
        (([-1.0, -1.0], [-1.0, -np.inf], [0, 1], [1, 1]), "response 1"),
        (([-1.0], [-1.0], [0], [0]), "no token"),
    ],
)
def test_what_has_no_kl_is_refused(arguments, says):
    with pytest.raises(DataError) as caught:
        monte_carlo_kl(*arguments)
    assert says in str(caught.value)
