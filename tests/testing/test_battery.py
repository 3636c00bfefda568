from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy.special import expit

from pluralism.data.simulate import simulate_mixture
from pluralism.errors import PluralismError, UsageError
from pluralism.models import BradleyTerry, Membership, MixtureBradleyTerry
from pluralism.testing import ChecksFailedError, check_preference_model, checks
from pluralism.testing.battery import CHECKS

FIXED = {"ridge": 1.0, "blocks": "row"}
POOLED = {**FIXED, "item_effects": False}
N_CHECKS = 65


def statuses(model, **options) -> dict[str, str]:
    return {result.name: result.status for result in check_preference_model(model, **options)}


def test_number_and_names_of_checks() -> None:
    assert len(checks()) == len(set(checks())) == N_CHECKS
    for name, check in CHECKS.items():
        assert inspect.getdoc(check), name


@pytest.mark.parametrize(
    ("model", "skipped"),
    [
        (BradleyTerry(**FIXED, item_effects=False), {"two_clear_groups_are_told_apart"}),
        (BradleyTerry(**FIXED, item_effects=5.0), {"two_clear_groups_are_told_apart"}),
        (MixtureBradleyTerry(**FIXED, n_groups=2, item_effects=False), set()),
        (MixtureBradleyTerry(**FIXED, n_groups=2, item_effects=5.0), set()),
    ],
    ids=repr,
)
def test_the_library_s_models_pass(model, skipped) -> None:
    results = check_preference_model(model, raise_on_failure=True)
    assert len(results) == N_CHECKS
    assert {result.name for result in results if result.status == "skipped"} == skipped


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        BradleyTerry(),
        MixtureBradleyTerry(max_groups=3),
        MixtureBradleyTerry(**FIXED, n_groups=3, item_effects=False, shared=10.0),
        MixtureBradleyTerry(**FIXED, n_groups=2, item_effects=False, algorithm="hard"),
        MixtureBradleyTerry(
            **FIXED, n_groups=2, item_effects=False, ties="davidson", position_bias=True, user_temperature=True
        ),
        MixtureBradleyTerry(**FIXED, n_groups=2, item_effects=False, user_temperature=True, user_lapse=True),
    ],
    ids=repr,
)
def test_the_library_s_models_pass_under_other_settings(model) -> None:
    results = check_preference_model(model, raise_on_failure=True)
    assert sum(result.passed for result in results) >= N_CHECKS - 12


def test_the_model_given_is_not_touched() -> None:
    model = BradleyTerry(**FIXED, item_effects=False)
    check_preference_model(model, checks=["fit_returns_self", "it_learns"])
    assert not [name for name in vars(model) if name.endswith("_")]


class Broken(BradleyTerry):
    """A Bradley-Terry, to be broken in one place."""


class MeddlingConstructor(Broken):
    def __init__(self, *, ridge=1.0, item_effects=False, blocks="row", rng=0) -> None:
        super().__init__(ridge=ridge + 1, item_effects=item_effects, blocks=blocks, rng=rng)
        self.cache_ = {}


class FitReturnsNothing(Broken):
    def fit(self, comparisons, **options):
        super().fit(comparisons, **options)


class Remembers(Broken):
    def fit(self, comparisons, **options):
        first = not hasattr(self, "first_")
        super().fit(comparisons, **options)
        self.first_ = first
        if not first:
            self.again_ = True
        return self

    def _forget(self):
        kept = vars(self).get("first_")
        super()._forget()
        if kept is not None:
            self.first_ = kept


class ChangesItsSetting(Broken):
    def fit(self, comparisons, **options):
        super().fit(comparisons, **options)
        self.ridge = 2.0
        return self


class LeftIsBetter(Broken):
    def predict_proba(self, comparisons, *, membership=None):
        return np.minimum(super().predict_proba(comparisons, membership=membership) + 0.05, 1.0)


class LooksAtRowNumbers(Broken):
    def fit(self, comparisons, **options):
        return super().fit(comparisons.take(np.arange(len(comparisons)) < 300), **options)


class ForgetsWeights(Broken):
    def fit(self, comparisons, **options):
        ones = np.ones(len(comparisons))
        return super().fit(type(comparisons)(**{**vars(comparisons), "weight": ones}), **options)


class CentresByTheBatch(Broken):
    def predict_proba(self, comparisons, *, membership=None):
        z = self.predict_group_proba(comparisons)[:, 0]
        return np.clip(z - z.mean() + 0.5, 0, 1)


class RandomReward(Broken):
    def fit(self, comparisons, **options):
        super().fit(comparisons, **options)
        self.coef_ = self.coef_ + np.random.default_rng().normal(size=self.coef_.shape)
        return self


class UnsureAlike(Broken):
    def reward_std(self, items):
        return np.ones((len(items), 1))


class SaysNothing(Broken):
    def reward(self, items):
        return np.zeros((len(items), 1))


class TakesAnyFeatures(Broken):
    """Bends whatever it is given into the shape of the fit."""

    def _bent(self, items):
        features = np.ones((len(items), self.dim_))
        if items.features is not None:
            width = min(self.dim_, items.dim)
            features[:, :width] = items.features[:, :width]
        return items.with_features(features, self.feature_space_)

    def reward(self, items):
        return super().reward(self._bent(items))

    def predict_proba(self, comparisons, *, membership=None):
        return super().predict_proba(comparisons.with_items(self._bent(comparisons.items)), membership=membership)

    def adapt(self, comparisons):
        return super().adapt(comparisons.with_items(self._bent(comparisons.items)))


class BadPosterior(Broken):
    def adapt(self, comparisons):
        placed = super().adapt(comparisons)
        return Membership(placed.users, placed.posterior * 0.9, placed.n)


class WorksUnfitted(Broken):
    def membership(self, comparisons=None):
        if not hasattr(self, "users_"):
            return None
        return super().membership(comparisons)


class LosesState(Broken):
    def _set_state(self, document, arrays):
        super()._set_state(document, arrays)
        self.coef_ = np.round(self.coef_, 3)


class WritesToTheData(Broken):
    def fit(self, comparisons, **options):
        super().fit(comparisons, **options)
        features = comparisons.items.features
        if features.base is not None and isinstance(features.base, np.ndarray) and features.base.flags.writeable:
            features.base[0, 0] += 1
        return self


class Nan(Broken):
    def predict_proba(self, comparisons, *, membership=None):
        p = super().predict_proba(comparisons, membership=membership)
        return np.where(np.arange(len(p)) == 3, np.nan, p)


@pytest.mark.parametrize(
    ("kind", "caught"),
    [
        (MeddlingConstructor, {"constructor_does_nothing_else", "constructor_stores_parameters_unmodified"}),
        (FitReturnsNothing, {"fit_returns_self"}),
        (Remembers, {"fit_forgets_earlier_fits"}),
        (ChangesItsSetting, {"fit_keeps_parameters", "clone_is_unfitted_and_equal"}),
        (LeftIsBetter, {"swapping_sides_turns_predictions_round"}),
        (LooksAtRowNumbers, {"row_order_does_not_matter"}),
        (ForgetsWeights, {"two_copies_of_a_row_are_a_row_of_weight_two", "rows_of_weight_zero_are_absent"}),
        (CentresByTheBatch, {"predictions_do_not_depend_on_the_batch"}),
        (RandomReward, {"equal_seeds_give_equal_fits", "fit_forgets_earlier_fits"}),
        (UnsureAlike, {"uncertainty_shrinks_with_data"}),
        (SaysNothing, {"it_learns", "one_pair_of_items"}),
        (
            TakesAnyFeatures,
            {
                "features_of_another_dimension_are_refused",
                "features_of_another_space_are_refused",
                "missing_features_are_refused",
            },
        ),
        (BadPosterior, {"posteriors_are_distributions", "people_without_answers_have_the_prior"}),
        (WorksUnfitted, {"unfitted_models_say_so"}),
        (LosesState, {"saved_models_predict_the_same"}),
        (WritesToTheData, {"fit_leaves_the_data_unchanged"}),
        (Nan, {"outputs_have_the_shapes_of_the_contract", "one_person"}),
    ],
)
def test_broken_models_are_caught(kind, caught) -> None:
    found = statuses(kind(**POOLED), checks=sorted(caught))
    assert {name for name, status in found.items() if status == "failed"} == caught


def test_a_badly_broken_model_does_not_stop_the_battery() -> None:
    found = statuses(Nan(**POOLED))
    assert len(found) == N_CHECKS
    assert list(found.values()).count("failed") > 15


def test_the_sound_model_that_was_broken_is_sound() -> None:
    assert [result for result in check_preference_model(Broken(**POOLED)) if result.status == "failed"] == []


class FeaturesOnly(Broken):
    """A model that says what it needs is not asked for more."""

    requires_features = True

    def fit(self, comparisons, **options):
        if comparisons.items.features is None:
            raise UsageError("This model needs features.", fix="Call .embed(encoder).")
        return super().fit(comparisons, **options)


def test_models_that_require_features_skip_items_alone() -> None:
    results = check_preference_model(FeaturesOnly(**POOLED))
    assert [result for result in results if result.status == "failed"] == []
    found = {result.name: result.status for result in results}
    assert found["items_alone_can_be_fitted"] == found["disconnected_items_are_finite_and_flagged"] == "skipped"
    assert found["missing_features_are_refused"] == "passed"


def test_all_failures_are_raised_at_once() -> None:
    with pytest.raises(
        ChecksFailedError, match=r"(?s)fails 2 of 3 checks.*it_learns: .*checks=\['it_learns'"
    ) as caught:
        check_preference_model(
            SaysNothing(**POOLED), checks=["it_learns", "fit_returns_self", "one_pair_of_items"], raise_on_failure=True
        )
    assert isinstance(caught.value, (PluralismError, AssertionError))
    assert [failure.name for failure in caught.value.failures] == ["it_learns", "one_pair_of_items"]


def test_whatever_a_model_raises_is_a_failure_with_its_place() -> None:
    class Crashes(Broken):
        def fit(self, comparisons, **options):
            raise ZeroDivisionError("oh")

    (result,) = check_preference_model(Crashes(**POOLED), checks=["it_learns"])
    assert result.status == "failed"
    assert not result.passed
    assert "ZeroDivisionError at" in result.message
    assert str(result).startswith("failed  it_learns: ")


def test_unknown_checks_are_refused() -> None:
    with pytest.raises(UsageError, match="no check 'it_flies'"):
        check_preference_model(Broken(**POOLED), checks=["it_flies"])


def test_the_population_of_the_battery_is_learnable() -> None:
    """Were it not, checks of learning would blame the model."""
    sim = simulate_mixture(
        n_users=30, n_groups=2, n_items=40, dim=4, pairs_per_user=24, scale=4.0, group_weights=[0.6, 0.4], rng=0
    )
    truth, data = sim.truth, sim.comparisons
    reward = truth.item_rewards
    z = reward[data.left, truth.groups[data.user]] - reward[data.right, truth.groups[data.user]]
    assert np.mean((expit(z) > 0.5) == (data.outcome > 0.5)) > 0.85
