"""A fitted mixture with prompts, texts, a covariate and known groups, and the report on it."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.data.simulate import simulate_mixture
from pluralism.models import MixtureBradleyTerry
from pluralism.reports import build_report


@pytest.fixture(scope="session")
def simulation():
    return simulate_mixture(
        n_users=60,
        n_groups=2,
        n_items=48,
        dim=4,
        n_prompts=12,
        pairs_per_user=24,
        group_weights=[0.75, 0.25],
        covariate_effects={"tone": [1.0, -1.0]},
        ties=0.3,
        rng=0,
    )


@pytest.fixture(scope="session")
def data(simulation):
    return simulation.comparisons


@pytest.fixture(scope="session")
def model(data):
    return MixtureBradleyTerry(n_groups="auto", max_groups=3, ridge=1.0, covariates=("tone",), rng=0).fit(data)


@pytest.fixture(scope="session")
def report(model, data):
    return build_report(model, data, n_bootstrap=200, title="Tea & <coffee>", command="pluralism report run votes.csv")


@pytest.fixture(scope="session")
def page(report):
    return report.to_html()


@pytest.fixture(scope="session")
def unequal():
    """A single reward, and a mixture that brings nothing."""
    data = simulate_mixture(n_users=50, n_groups=1, n_items=40, dim=3, pairs_per_user=20, rng=3).comparisons
    return data, MixtureBradleyTerry(n_groups=2, ridge=5.0, item_effects=False, rng=0).fit(data)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
