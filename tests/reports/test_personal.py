"""A model in which each person differs is not called one reward for everybody."""

from pluralism.data.simulate import simulate_mixture
from pluralism.models import HierarchicalBradleyTerry
from pluralism.reports import build_report


def test_the_report_speaks_of_each_person():
    data = simulate_mixture(n_users=30, n_groups=2, n_items=40, dim=4, pairs_per_user=20, rng=0).comparisons
    model = HierarchicalBradleyTerry(
        rank=1, ridge=1.0, loading_precision=1.0, item_effects=False, item_loadings=False, blocks="row"
    ).fit(data)
    page = build_report(model, data, n_bootstrap=20).to_html()
    assert "A reward for each of 30 people" in page
    assert "a reward for each person predicts" in page
    assert "One reward, fitted to" not in page
