"""The contract of every preference model: scikit-learn's estimator manners, data containers instead of X and y."""

from __future__ import annotations

import hashlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn.base import BaseEstimator

from pluralism.errors import DataError, ModelFileError, NotFittedError, UsageError
from pluralism.files import load_bundle, save_bundle
from pluralism.models.collective import Of, preference_matrix_of, profile_of, utilities_of
from pluralism.models.membership import Membership
from pluralism.models.state import StateSpec
from pluralism.random import RNG
from pluralism.solvers import FeatureMatrix

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.social_choice import Profile, Utilities
    from pluralism.social_choice.utilities import Reference, Unit

__all__ = ["Callback", "Places", "PreferenceModel", "load"]

Places = Literal["groups", "weights", "factors"]
"""What describes a person: a posterior over groups, weights on prototypes, or a vector."""

Callback = Callable[[str, int, float], None]
"""Told of the progress of a fit: (name of the piece, iteration, objective)."""

SMALLEST = float(np.finfo(np.float64).tiny)

# Only these may be named by a saved file: loading never imports what a file asks for.
KINDS = {
    "PromptIdealPoint": "pluralism.models.prompt_ideal_point",
    "GeneralPreference": "pluralism.models.general_preference",
    "LowRankReward": "pluralism.models.low_rank",
    "IdealPoint": "pluralism.models.ideal_point",
    "BayesianMixture": "pluralism.models.bayesian_mixture",
    "BradleyTerry": "pluralism.models.bradley_terry",
    "CollaborativeReward": "pluralism.models.collaborative",
    "HierarchicalBradleyTerry": "pluralism.models.hierarchical_bradley_terry",
    "MixtureBradleyTerry": "pluralism.models.mixture_bradley_terry",
    "PerUserRidge": "pluralism.models.per_user",
    "PlackettLuce": "pluralism.models.plackett_luce",
    "OrdinalBradleyTerry": "pluralism.models.ordinal",
    "DirectionalReward": "pluralism.models.directional",
    "MultiSource": "pluralism.models.multi_source",
    "RewardEnsemble": "pluralism.models.ensemble",
    "VPL": "pluralism.models.vpl",
}


class PreferenceModel(BaseEstimator, ABC):
    """Base of all preference models.

    The constructor stores its keywords and does nothing else. `fit` takes comparisons, forgets any earlier fit,
    returns `self` and sets attributes that end in an underscore. All probabilities are of *left preferred, given a
    decision*; where a model knows ties it has `predict_tie_proba` as well.

    Class attributes: `requires_features`; `takes` names the containers that `fit` understands (comparisons, ratings,
    rankings); `transitive` whether rewards order predictions;
    `separates_parts` whether answers that have neither people, items nor features in common leave each other alone
    (not where one network reads them all); `spec` is the form of the learned state, by which `save` and `load` work;
    `nested` names attributes that are fitted models themselves.
    """

    requires_features: ClassVar[bool] = False
    separates_parts: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("comparisons",)
    transitive: ClassVar[bool] = True
    nested: ClassVar[tuple[str, ...]] = ()
    spec: ClassVar[StateSpec]

    @abstractmethod
    def fit(
        self,
        comparisons: Comparisons,
        /,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit the model; with a checkpoint directory a killed fit can be called again and goes on."""

    @property
    def places(self) -> Places:
        """What describes a person."""
        return "groups"

    @abstractmethod
    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Reward of each item for each group, in logits, up to a constant within a prompt."""

    @abstractmethod
    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) under each group."""

    @abstractmethod
    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row."""

    @abstractmethod
    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place users from these answers alone."""

    @property
    def n_groups_(self) -> int:
        """Number of groups or prototypes; 1 for a pooled model."""
        self._check_fitted()
        return len(self.group_weights_)

    @property
    def fingerprint_(self) -> str:
        """What this fit is known by: memberships carry it, a saved and loaded model keeps it, another fit has another.

        Sixteen hexadecimal digits of the sizes of the groups, the optimum and the numbers of answers; the same data,
        settings and seed give the same.
        """
        self._check_fitted()
        said = [type(self).__name__, self.n_iter_, len(self.users_), float(self.objective_), float(self.gradient_norm_)]
        digest = hashlib.blake2b(repr(said).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(self.group_weights_, np.float64).tobytes())
        digest.update(np.ascontiguousarray(self.n_answers_, np.int64).tobytes())
        return digest.hexdigest()

    def membership(self, comparisons: Comparisons | None = None) -> Membership:
        """Membership of the training users, or of those users of `comparisons` (unknown ones have the prior)."""
        self._check_fitted()
        if comparisons is None:
            return self._trained()
        users = comparisons.users.take(pa.array(np.unique(comparisons.user)))
        return self._trained().lookup(users, self._prior())

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits: the scalar reward that a policy is trained on.

        Parameters
        ----------
        items : Items
        membership : Membership, optional
            From `adapt` or `membership`; the training users by default.
        """
        self._check_fitted()
        return self.reward(items) @ self._own(membership).posterior.T

    def utilities(
        self,
        items: Items,
        *,
        of: Of = "groups",
        membership: Membership | None = None,
        unit: Unit = "gain",
        log_reference: ArrayLike | None = None,
        reference: Reference = "list",
    ) -> Utilities:
        """What each candidate of each prompt is worth to each group, or to each person.

        Parameters
        ----------
        items : Items
            Candidates; those of one prompt are chosen among.
        of : {"groups", "users"}
            The model's groups, with their sizes as shares, or people, each with the same share.
        membership : Membership, optional
            With ``of="users"``: whose; the training users by default.
        unit : {"gain", "cdf", "normalised", "regret", "raw"}
            In what they are compared; see `pluralism.social_choice.Utilities`.
        log_reference : array of shape (items,), optional
            Log-probabilities of the reference policy; left out, the candidates of a prompt are equally likely.
        reference : {"list", "samples"}
            Whether the candidates are all there are, or samples from the reference policy.
        """
        return utilities_of(self, items, of, membership, unit, log_reference, reference)

    def profile(
        self,
        items: Items,
        *,
        of: Of = "groups",
        membership: Membership | None = None,
        n_draws: int = 0,
        tolerance: float = 0.0,
        units: int = 1_000_000,
        rng: RNG = None,
    ) -> Profile:
        """The rankings of the candidates of one prompt, by groups weighted by their sizes or by people.

        Parameters
        ----------
        items : Items
            Candidates of one prompt, or items without prompts.
        of, membership
            As in `utilities`.
        n_draws : int
            Take as voters this many draws of the rewards and sizes of the groups from their posterior, so that what is
            not known of them carries over; 0 takes the best estimates.
        tolerance : float
            Rewards no further apart than this, in logits, are tied.
        units : int
            Whole units into which all voters together are divided.
        rng : int, Generator or None

        Raises
        ------
        UsageError
            If the items answer several prompts, the model prefers in circles, or has no posterior to draw from.
        """
        return profile_of(self, items, of, membership, n_draws, tolerance, units, rng)

    def preference_matrix(self, items: Items) -> Float[np.ndarray, "items items"]:
        """The share of all people who prefer the row's candidate to the column's; 1/2 on the diagonal."""
        return preference_matrix_of(self, items)

    def _decision_logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """Logits of `predict_group_proba`."""
        return logit(np.clip(self.predict_group_proba(comparisons), SMALLEST, 1.0 - 2.0**-53))

    def _trained(self) -> Membership:
        """Where the training users stand."""
        return self._membership(self.users_, self.posterior_, self.n_answers_)

    def _prior(self) -> Membership:
        """Where somebody stands of whom nothing is known: one row."""
        return self._membership(pa.array([""], pa.large_string()), self.group_weights_[None], np.zeros(1, np.int64))

    def _membership(
        self,
        users: pa.Array,
        posterior: np.ndarray,
        n: np.ndarray,
        position: np.ndarray | None = None,
        covariance: np.ndarray | None = None,
    ) -> Membership:
        """A membership by this model; arguments as those of `Membership`."""
        return Membership(users, posterior, n, position, covariance, self.fingerprint_)

    def _own(self, membership: Membership | None) -> Membership:
        """A membership that this model can read; None is that of the training users.

        Raises
        ------
        UsageError
            If another model placed its users, or it is over another number of groups.
        """
        if membership is None:
            return self._trained()
        if membership.model not in (None, self.fingerprint_):
            raise UsageError(
                f"The membership is of another model, or of another fit of this {type(self).__name__}: its groups and "
                "factors need not mean the same here.",
                where=f"placed by the fit {membership.model}, this is {self.fingerprint_}",
                fix="Place the users with this model: model.adapt(answers), or model.membership() for training users.",
            )
        if membership.n_groups != self.n_groups_:
            raise UsageError(
                f"The membership is over {membership.n_groups} groups, the model has {self.n_groups_}.",
                fix="Use the membership that this model's adapt() returned.",
            )
        return membership

    def _placed(self, comparisons: Comparisons, membership: Membership | None) -> Membership:
        """Where each user of the vocabulary stands: by `membership`, else as in training, else by the prior.

        Raises
        ------
        UsageError
            If the membership is of another model.
        """
        placed = self._trained().lookup(comparisons.users, self._prior())
        return placed if membership is None else self._own(membership).lookup(comparisons.users, placed)

    def _features(self, items: Items) -> FeatureMatrix:
        """The items' features, if they are of the space the model was fitted on."""
        if items.features is None:
            raise DataError(
                "The items have no features, and this model was fitted on features.",
                fix="Call .embed(encoder) with the encoder of the fit, or .with_features(matrix).",
            )
        if items.features.shape[1] != self.dim_:
            raise DataError(
                f"The items have {items.features.shape[1]} dimensions, the model was fitted on {self.dim_}.",
                fix="Embed with the encoder of the fit.",
            )
        if self.feature_space_ is not None and items.feature_space not in (None, self.feature_space_):
            raise DataError(
                f"The features are of the space {items.feature_space!r}, the model was fitted on "
                f"{self.feature_space_!r}.",
                fix="Embed with the encoder, revision, pooling and precision of the fit.",
            )
        return FeatureMatrix(items.features)

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Learned state as a JSON document and arrays."""
        document, arrays = self.spec.take(self)
        for name in self.nested:
            document[name], own = model_document(getattr(self, name))
            arrays |= {f"{name}/{key}": value for key, value in own.items()}
        return document, arrays

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `_state`; raises ValueError for a state that no fit leaves."""
        self._give_state(document, arrays)

    def _give_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Set the attributes of `spec` and the nested models; returns the extents of the axes."""
        inner = {name: part_of(arrays, name) for name in self.nested}
        of_nested = tuple(f"{name}/" for name in self.nested)
        extents = self.spec.give(self, document, {k: v for k, v in arrays.items() if not k.startswith(of_nested)})
        for name, own in inner.items():
            setattr(self, name, model_from_document(document[name], own))
        return extents

    def save(self, directory: str | Path) -> None:
        """Save to a directory: `model.json` and one safetensors file, atomically; never pickle.

        Raises
        ------
        NotFittedError
            If the model has not been fitted.
        """
        save_bundle(directory, *model_document(self))

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("__")]:
            delattr(self, name)

    def _check_fitted(self) -> None:
        if not hasattr(self, "converged_"):
            raise NotFittedError(
                f"This {type(self).__name__} has not been fitted yet.",
                fix="Call model.fit(comparisons) first, or pluralism.load(directory) for a saved model.",
            )


def load(directory: str | Path) -> PreferenceModel:
    """Load a model that `save` wrote.

    The files are checked before anything is allocated; a file that is no safetensors file, declares more than it
    holds, points outside its directory or has an unknown schema is refused.

    Raises
    ------
    ModelFileError
        If the directory holds no usable model.
    """
    document, arrays = load_bundle(directory)
    kind = document.get("kind")
    if kind not in KINDS:
        raise ModelFileError(
            f"The saved model is of kind {kind!r}, which this version does not know.",
            where=str(Path(directory) / "model.json"),
            fix=f"Known kinds: {', '.join(sorted(KINDS))}. Upgrade pluralism if the model is newer.",
        )
    try:
        return model_from_document(document, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelFileError(
            f"The saved model is incomplete or inconsistent ({error}).",
            where=str(Path(directory) / "model.json"),
            fix="Fit and save the model again.",
        ) from error


def model_document(model: PreferenceModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A fitted model as a JSON document of kind, parameters and state, and arrays; models nest in one another so.

    Raises
    ------
    NotFittedError
        If the model has not been fitted.
    """
    model._check_fitted()
    document, arrays = model._state()
    return {"kind": type(model).__name__, "parameters": _parameters(model), "state": document}, arrays


def model_from_document(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> PreferenceModel:
    """Inverse of `model_document`; raises KeyError, TypeError or ValueError for what no fitted model leaves."""
    model = _unfitted(document)
    model._set_state(document["state"], arrays)
    return model


def part_of(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays of the model that is kept under a name, by their own names."""
    prefix = f"{name}/"
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}


def _parameters(model: PreferenceModel) -> dict[str, Any]:
    return {name: _jsonable(value) for name, value in model.get_params(deep=False).items()}


def _unfitted(document: Mapping[str, Any]) -> PreferenceModel:
    kind = document["kind"]
    cls = getattr(importlib.import_module(KINDS[kind]), kind)
    made: PreferenceModel = cls(**{name: _from_json(value) for name, value in document["parameters"].items()})
    return made


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"kind", "parameters"}:
        return _unfitted(value)
    return tuple(value) if isinstance(value, list) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, PreferenceModel):
        return {"kind": type(value).__name__, "parameters": _parameters(value)}
    if isinstance(value, np.random.Generator):
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return value
