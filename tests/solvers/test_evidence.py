import numpy as np
import pytest

from pluralism.solvers import FeatureMatrix, PairProblem, Terms, item_variance_by_evidence
from pluralism.solvers import evidence as evidence_module
from pluralism.solvers.evidence import log_evidence


def with_item_effects(seed, sd, n_items=200, rows=8000, dim=6, blocks=1):
    rng = np.random.default_rng([seed, 5])
    features = rng.normal(size=(n_items, dim))
    score = features @ rng.normal(size=dim) * 0.3 + rng.normal(size=n_items) * sd
    per_block = n_items // blocks
    block = rng.integers(blocks, size=rows) * per_block
    a = rng.integers(per_block, size=rows)
    left, right = block + a, block + (a + 1 + rng.integers(per_block - 1, size=rows)) % per_block
    outcome = (rng.random(rows) < 1 / (1 + np.exp(score[right] - score[left]))).astype(float)
    problem, _ = PairProblem.build(
        np.zeros(rows, dtype=int),
        left,
        right,
        outcome,
        np.ones(rows),
        n_users=1,
        n_items=n_items,
        features=FeatureMatrix(features),
    )
    return problem


@pytest.mark.parametrize("sd", [0.4, 0.8])
def test_recovers_the_spread_of_item_effects(sd):
    found = [
        item_variance_by_evidence(with_item_effects(seed, sd), Terms(ridge=10.0), rng=np.random.default_rng(seed))
        for seed in range(3)
    ]
    estimate = np.mean([f.precision**-0.5 for f in found])
    assert estimate == pytest.approx(sd, rel=0.15)


def test_no_spread_gives_a_large_precision():
    found = item_variance_by_evidence(with_item_effects(0, 0.0), Terms(ridge=10.0), rng=np.random.default_rng(0))
    assert found.precision > 100


def test_large_data_are_judged_on_whole_components(monkeypatch):
    monkeypatch.setattr(evidence_module, "ENOUGH_COEFFICIENTS", 80)
    problem = with_item_effects(1, 0.6, blocks=10, rows=16_000)
    found = item_variance_by_evidence(problem, Terms(ridge=10.0), rng=np.random.default_rng(0))
    assert 40 <= found.n_items <= 80
    assert found.n_items % 20 == 0
    assert found.precision**-0.5 == pytest.approx(0.6, rel=0.35)


def test_evidence_equals_numerical_integration_in_one_dimension():
    left, right = np.zeros(12, dtype=int), np.ones(12, dtype=int)
    outcome = np.array([1.0] * 8 + [0.0] * 4)
    problem, _ = PairProblem.build(
        np.zeros(12, dtype=int),
        left,
        right,
        outcome,
        np.ones(12),
        n_users=1,
        n_items=2,
        features=FeatureMatrix(np.array([[1.0], [0.0]])),
    )
    ridge = 2.0
    theta = np.linspace(-8, 8, 20_001)
    log_joint = 8 * -np.logaddexp(0, -theta) + 4 * -np.logaddexp(0, theta) - 0.5 * ridge * theta**2
    exact = np.log(np.trapezoid(np.exp(log_joint), theta)) + 0.5 * np.log(ridge / (2 * np.pi))
    value, _ = log_evidence(problem, Terms(ridge=ridge), rng=np.random.default_rng(0))
    assert value == pytest.approx(exact, abs=0.02)
