"""The pooled control inside a model: the same settings, saved whole, and read from files of an earlier form."""

import numpy as np
import pytest

import pluralism as pl
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import ModelFileError
from pluralism.files import load_bundle, save_bundle
from pluralism.models import BradleyTerry, HierarchicalBradleyTerry, MixtureBradleyTerry, OrdinalBradleyTerry
from pluralism.models.pooled_control import pooled_control

MODELS = [
    MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=3.0, position_bias=True, ties="davidson", rng=4),
    HierarchicalBradleyTerry(rank=1, loading_precision=1.0, ridge=1.0, item_effects=3.0, rng=4),
]


@pytest.fixture(scope="module")
def data():
    made = simulate_mixture(n_users=20, n_groups=2, n_items=25, dim=3, pairs_per_user=12, ties=0.1, rng=0)
    return made.comparisons


def test_a_control_has_the_settings_that_both_know():
    model = OrdinalBradleyTerry(ridge=2.0, covariates=("length",), tol=1e-7, uncertainty=False, rng=3)
    control = pooled_control(model, ties="half", max_iter=9)
    assert (
        control.get_params()
        == BradleyTerry(ridge=2.0, covariates=("length",), tol=1e-7, uncertainty=False, rng=3, max_iter=9).get_params()
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_controls_are_saved_whole_and_read_from_files_of_the_earlier_form(model, data, tmp_path):
    model.fit(data)
    plain = BradleyTerry(
        ridge=1.0, item_effects=3.0, position_bias=model.position_bias, ties=model.ties, uncertainty=False
    ).fit(data)
    np.testing.assert_allclose(model.control_.predict_proba(data), plain.predict_proba(data), atol=5e-4)
    model.save(tmp_path / "run")
    loaded = pl.load(tmp_path / "run")
    assert loaded.control_.get_params() == model.control_.get_params()
    document, arrays = load_bundle(tmp_path / "run")
    document = {key: value for key, value in document.items() if not key.startswith("arrays")}
    inner = document["state"].pop("control_")
    document["state"] |= {"control": inner["state"], "control_rng": inner["parameters"]["rng"]}
    arrays = {name.replace("control_/", "control/"): value for name, value in arrays.items()}
    save_bundle(tmp_path / "old", document, arrays)
    old = pl.load(tmp_path / "old")
    for other in (loaded, old):
        np.testing.assert_array_equal(other.predict_proba(data), model.predict_proba(data))
        np.testing.assert_array_equal(other.control_.predict_proba(data), model.control_.predict_proba(data))
        assert other.control_.rng == model.control_.rng == 4
    del document["state"]["control"]
    save_bundle(tmp_path / "old", document, arrays)
    with pytest.raises(ModelFileError, match="control"):
        pl.load(tmp_path / "old")
