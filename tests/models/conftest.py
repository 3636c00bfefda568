import pytest

from pluralism.data.simulate import simulate_mixture


@pytest.fixture(scope="session")
def four_groups():
    """240 users in four groups, one of 8 %, thirty answers each."""
    return simulate_mixture(
        n_users=240,
        n_groups=4,
        n_items=300,
        dim=16,
        pairs_per_user=30,
        group_weights=[0.42, 0.30, 0.20, 0.08],
        scale=3.0,
        rng=0,
    )
