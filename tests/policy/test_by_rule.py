"""Rules by name give the policies of their functions; budgets of KL are met; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.policy import by_voting, cvar, kl_optimal, maxmin, policy_by_rule, policy_rules
from pluralism.policy.by_rule import meet_kl
from pluralism.social_choice import Utilities


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    return Utilities(rng.normal(size=(6, 4, 3)) + rng.normal(size=(6, 4, 1)), None, [0.6, 0.3, 0.1]).to_unit("gain")


def test_names_stand_for_functions(made):
    pairs = [
        (policy_by_rule(made, "maxmin", beta=0.3), maxmin(made, beta=0.3)),
        (policy_by_rule(made, "utilitarian"), kl_optimal(made, beta=0.0)),
        (policy_by_rule(made, "cvar", alpha=0.3, beta=0.3), cvar(made, alpha=0.3, beta=0.3)),
        (policy_by_rule(made, "borda"), by_voting(made, "borda")),
        (policy_by_rule(made, "maxmin", beta=0.3, scope="per_prompt"), maxmin(made, beta=0.3, scope="per_prompt")),
    ]
    for named, direct in pairs:
        np.testing.assert_array_equal(named.probs, direct.probs)


SETTINGS = {"pmean": {"rho": 0.5}, "cvar": {"alpha": 0.4}, "robust": {"radius": 0.3}, "best-of-n": {"n": 4}}


def test_every_rule_gives_a_policy(made):
    names = policy_rules()
    assert len(names) >= 20
    assert {"utilitarian", "maxmin", "leximin", "nash", "pmean", "cvar", "borda", "schulze", "maximal-lottery"} <= set(
        names
    )
    for name in names:
        policy = policy_by_rule(made, name, **SETTINGS.get(name, {}))
        np.testing.assert_allclose(policy.probs.sum(axis=1), 1.0)


@pytest.mark.parametrize("rule", ["utilitarian", "maxmin", "nash", "cvar"])
def test_a_budget_of_kl_is_met(made, rule):
    settings = SETTINGS.get(rule, {})
    policy = policy_by_rule(made, rule, kl=0.2, **settings)
    assert 0.2 * 0.9998 <= policy.kl_mean <= 0.2
    assert policy.certificate.gap < 1e-3
    free = policy_by_rule(made, rule, kl=50.0, **settings)
    np.testing.assert_allclose(free.probs, policy_by_rule(made, rule, beta=0.0, **settings).probs)


@pytest.mark.parametrize(
    ("rule", "settings", "says"),
    [
        ("best", {}, "no rule 'best'"),
        ("borda", {"beta": 1.0}, "does not take beta"),
        ("leximin", {"kl": 1.0}, "does not take kl"),
        ("maxmin", {"rho": 1.0}, "does not take rho"),
        ("pmean", {"beta": 1.0}, "needs rho"),
        ("maxmin", {"beta": 1.0, "kl": 1.0}, "exclude each other"),
        ("maxmin", {"kl": 0.0}, "kl=0.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(made, rule, settings, says):
    with pytest.raises(UsageError, match=says) as caught:
        policy_by_rule(made, rule, **settings)
    assert caught.value.fix


def test_a_price_that_only_the_last_widening_reaches_is_found(made):
    dear = meet_kl(lambda beta: kl_optimal(made, beta=beta * 1e-14), 0.3)
    assert dear.kl_mean == pytest.approx(0.3, rel=2e-4)
    with pytest.raises(UsageError, match="No price of KL"):
        meet_kl(lambda beta: kl_optimal(made, beta=beta * 1e-40), 0.3)


def test_the_certificate_of_a_budget_bounds_every_policy_within_it(made):
    loose, tight = policy_by_rule(made, "maxmin", kl=0.2), meet_kl(lambda beta: maxmin(made, beta=beta), 0.2, tol=1e-9)
    assert loose.certificate.primal[0] == pytest.approx(loose.group_utilities.min(), abs=1e-8)
    assert tight.group_utilities.min() <= loose.certificate.dual[0] + 1e-9
    assert loose.certificate.gap < 1e-4
    assert "KL at most 0.2" in loose.certificate.problem


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("rule", ["utilitarian", "maxmin", "nash"])
def test_a_budget_is_met_in_any_unit_and_size(made, rule, scale):
    other = Utilities(scale * made.values, made.log_reference, made.shares, unit=made.unit)
    for kl in (1e-9, 0.3):
        assert policy_by_rule(other, rule, kl=kl).kl_mean == pytest.approx(kl, rel=2e-4)
