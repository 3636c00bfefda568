"""A small real model with known parameters: what evaluation says of it can be computed by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, softmax

from pluralism.data.labels import label_codes
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError
from pluralism.models import BradleyTerry, Membership, PreferenceModel


class KnownMixture(PreferenceModel):
    """A mixture whose heads and weights are given; `fit` only places the training users."""

    requires_features = True

    def __init__(self, *, heads=None, weights=None, temperature=1.0, with_control=False) -> None:
        self.heads = heads
        self.weights = weights
        self.temperature = temperature
        self.with_control = with_control

    def fit(self, comparisons, *, callback=None):
        self._forget()
        if len(comparisons) == 0:
            raise DataError("There are no comparisons.")
        self.coef_ = np.asarray(self.heads, float)
        self.group_weights_ = np.asarray(self.weights, float)
        if callback is not None:
            callback("fit", 1, 0.0)
        trained = self.adapt(comparisons.compact())
        self.users_, self.posterior_, self.n_answers_ = trained.users, trained.posterior, trained.n
        if self.with_control:
            self.control_ = BradleyTerry(ridge=1.0, uncertainty=False).fit(comparisons)
        self.converged_ = True
        return self

    @property
    def n_groups_(self) -> int:
        return len(self.group_weights_)

    def reward(self, items):
        return items.features.astype(float) @ self.coef_.T

    def predict_group_proba(self, comparisons):
        r = self.reward(comparisons.items)
        return expit((r[comparisons.left] - r[comparisons.right]) / self.temperature)

    def adapt(self, comparisons):
        p = np.clip(self.predict_group_proba(comparisons), 1e-300, 1 - 1e-16)
        y, w = comparisons.outcome[:, None], comparisons.weight[:, None]
        log_evidence = np.zeros((comparisons.n_users, self.n_groups_))
        np.add.at(log_evidence, comparisons.user, w * (y * np.log(p) + (1 - y) * np.log(1 - p)))
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return Membership(comparisons.users, softmax(log_evidence + np.log(self.group_weights_), axis=1), n)

    def membership(self, comparisons=None):
        trained = Membership(self.users_, self.posterior_, self.n_answers_)
        if comparisons is None:
            return trained
        users = comparisons.users.take(pa.array(np.unique(comparisons.user)))
        rows = trained.index(users)
        posterior = np.where(rows[:, None] >= 0, self.posterior_[rows], self.group_weights_)
        return Membership(users, posterior, np.where(rows >= 0, self.n_answers_[rows], 0))

    def predict_proba(self, comparisons, *, membership=None):
        weight = np.tile(self.group_weights_, (comparisons.n_users, 1))
        for known in (Membership(self.users_, self.posterior_, self.n_answers_), membership):
            if known is not None:
                code = label_codes(comparisons.users, known.users)
                weight[code >= 0] = known.posterior[code[code >= 0]]
        return (weight[comparisons.user] * self.predict_group_proba(comparisons)).sum(axis=1)

    def _state(self):
        raise NotImplementedError

    def _set_state(self, document, arrays):
        raise NotImplementedError


@pytest.fixture(scope="session")
def known_mixture():
    """The class."""
    return KnownMixture


@pytest.fixture(scope="session")
def people():
    """60 users of three groups with 30 answers each, some of them ties, and the truth."""
    return simulate_mixture(
        n_users=60, n_groups=3, n_items=80, dim=4, pairs_per_user=30, group_weights=[0.5, 0.3, 0.2], ties=0.3, rng=3
    )


@pytest.fixture(scope="session")
def fitted(people):
    """Fitted to the first 40 users' even rows; the truth's own heads."""
    data = people.comparisons
    train = data.take((data.user < 40) & (np.arange(len(data)) % 2 == 0))
    return KnownMixture(heads=people.truth.heads, weights=people.truth.group_weights).fit(train)
