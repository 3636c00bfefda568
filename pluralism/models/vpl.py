"""Variational preference learning: an encoder reads a person's answers, and one reward serves all places it finds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import expit, ndtri

from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.models.base import Callback, Places, PreferenceModel
from pluralism.models.diagnosis import diagnose
from pluralism.models.fitting import Memory, feature_unit
from pluralism.models.membership import Membership
from pluralism.models.preparation import Prepared, prepare
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import StateSpec, require_state
from pluralism.models.vpl_network import Answers, Schedule, encode, initial_weights, rewards, train
from pluralism.random import RNG, as_seed
from pluralism.solvers import Terms, fit_mixture

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["VPL"]

N_DRAWS = 16
BLOCK_ROWS = 65_536
SPREAD = np.pi / 8.0

NETWORK: dict[str, tuple[str, ...]] = {
    "encoder_difference_": ("dim", "hidden"),
    "encoder_mean_": ("dim", "hidden"),
    "encoder_bias_": ("hidden",),
    "encoder_hidden_": ("hidden", "hidden"),
    "encoder_hidden_bias_": ("hidden",),
    "attention_": ("hidden",),
    "place_hidden_": ("pooled", "hidden"),
    "place_bias_": ("hidden",),
    "place_mean_": ("hidden", "factors"),
    "place_mean_bias_": ("factors",),
    "place_spread_": ("hidden", "factors"),
    "place_spread_bias_": ("factors",),
    "reward_item_": ("dim", "hidden"),
    "reward_place_": ("factors", "hidden"),
    "reward_bias_": ("hidden",),
    "reward_hidden_": ("hidden", "hidden"),
    "reward_hidden_bias_": ("hidden",),
    "reward_out_": ("hidden",),
}


class VPL(PreferenceModel):
    """People as places in a latent space, found from their answers by a trained encoder.

    Each answer (the difference of the two items, signed by the choice, and their mean) goes through a small network;
    the results are pooled over the person's answers, by attention or by their mean, into a Gaussian q(z). The reward
    of an item for a person is a network of the item's features and z. Both are trained together by the evidence lower
    bound. New people cost one pass of the encoder; people without answers have the prior N(0, I).

    Parameters
    ----------
    factors : int
        Dimensions of z.
    hidden : int
        Width of all layers.
    pooling : {"attention", "mean"}
    beta : float
        Final weight of the divergence of q(z) from the prior, reached linearly over the first `warm_up` epochs; 1 is
        the evidence lower bound.
    warm_up : int
    max_epochs : int
        Steps of Adam, each over all answers.
    patience : int
        Training stops when so many epochs have not improved the NLL of held-out people by 0.001; the best is kept.
    held_out : float
        Share of people held out for that, in (0, 0.5]; where there are too few, all epochs are run.
    learning_rate, weight_decay : float
    rng : int, Generator or None

    Attributes
    ----------
    position_, position_variance_ : float arrays of shape (users, factors)
        Mean and variance of q(z) of the training users.
    active_units_ : float
        Share of the factors whose means vary over users by more than 0.01: 0 says that the encoder is ignored.
    held_out_path_ : list of [epoch, NLL]
        Empty where nobody was held out.
    converged_ : bool
        Whether training stopped of its own accord, at something better than even odds for everybody.

    References
    ----------
    S. Poddar et al., Personalizing reinforcement learning from human feedback with variational preference learning,
    NeurIPS 2024 (arXiv:2408.10075).

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=20, n_groups=2, n_items=60, dim=4, rng=0).comparisons
    >>> model = VPL(factors=2, hidden=8, max_epochs=200, patience=3).fit(data)
    >>> model.adapt(data).position.shape
    (20, 2)
    """

    requires_features: ClassVar[bool] = True
    separates_parts: ClassVar[bool] = False
    places: Places = "factors"
    spec = StateSpec(
        arrays=NETWORK
        | {
            "center_": ("dim",),
            "position_": ("users", "factors"),
            "position_variance_": ("users", "factors"),
            "group_weights_": ("groups",),
            "posterior_": ("users", "groups"),
            "n_answers_": ("users",),
        },
        numbers=("objective_", "gradient_norm_", "scale_", "active_units_"),
        counts=("n_iter_", "n_comparisons_", "n_components_"),
        flags=("converged_", "separable_"),
        plain=("held_out_path_",),
    )

    def __init__(
        self,
        *,
        factors: int = 8,
        hidden: int = 32,
        pooling: Literal["attention", "mean"] = "attention",
        beta: float = 1.0,
        warm_up: int = 100,
        max_epochs: int = 400,
        patience: int = 60,
        held_out: float = 0.15,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-5,
        rng: RNG = 0,
    ) -> None:
        self.factors = factors
        self.hidden = hidden
        self.pooling = pooling
        self.beta = beta
        self.warm_up = warm_up
        self.max_epochs = max_epochs
        self.patience = patience
        self.held_out = held_out
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons of items with features; parameters as in `BradleyTerry.fit`."""
        self._forget()
        self._check_settings()
        prepared = prepare(comparisons, (), position_bias=False)
        if prepared.problem.features is None:
            raise DataError(
                "The items have no features, and VPL reads nothing else.",
                fix="Call .embed(encoder) or .with_features(matrix); PlackettLuce and BradleyTerry take items alone.",
            )
        seed = as_seed(self.rng)
        memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}", prepared, callback)
        self._diagnose(prepared, seed)
        self.dim_, self.feature_space_ = prepared.problem.features.dim, comparisons.items.feature_space
        self._set_scale(prepared)
        p = prepared.problem
        active = p.weight > 0
        answers = self._answers(comparisons.items, p.user, p.left, p.right, p.outcome, p.weight, p.n_users).take(active)

        def trained() -> dict[str, np.ndarray]:
            rng = np.random.default_rng([seed, 31])
            start = initial_weights(self.dim_, self.hidden, self.factors, rng)
            found = train(
                answers,
                start,
                Schedule(
                    self.max_epochs,
                    self.patience,
                    self.learning_rate,
                    self.beta,
                    self.warm_up,
                    self.weight_decay,
                    self.held_out,
                ),
                self.pooling == "attention",
                rng,
                lambda epoch, value: memory.tell("train", epoch, value),
            )
            numbers = [found.epoch, found.objective, found.gradient_norm, found.converged]
            path = np.array(found.held_out, dtype=np.float64).reshape(-1, 2)
            return found.weights | {"numbers": np.array(numbers, dtype=np.float64), "path": path}

        found = dict(memory.piece("train", trained))
        epoch, objective, norm, converged = found.pop("numbers").tolist()
        self.held_out_path_ = found.pop("path").tolist()
        for name, value in found.items():
            setattr(self, name, value)
        self.users_, self.n_answers_ = prepared.users, prepared.n
        self.position_, self.position_variance_ = encode(self._network(), answers)
        self.active_units_ = float(np.mean(self.position_.var(axis=0) > 0.01))
        self.group_weights_, self.posterior_ = np.ones(1), np.ones((len(self.users_), 1))
        self.n_comparisons_ = len(comparisons)
        self.n_iter_, self.objective_, self.gradient_norm_ = int(epoch), float(objective), float(norm)
        # a model that says nothing of anybody has a loss of log 2
        learnt = self.n_iter_ > 0 if self.held_out_path_ else self.objective_ < np.log(2.0)
        self.converged_ = bool(converged) and learnt
        if not learnt:
            whom = "people held out" if self.held_out_path_ else "everybody"
            warnings.warn(
                f"Training never did better than even odds for {whom}, which is where it starts. Give it more people "
                "or answers, more epochs, or another learning_rate; BradleyTerry tells whether the features say "
                "anything.",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif not self.converged_:
            warnings.warn(
                f"Training stopped after {self.max_epochs} epochs while held-out people were still predicted better "
                "and better. Raise max_epochs.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Expected reward of each item under the prior: for somebody of whom nothing is known."""
        self._check_fitted()
        return self.user_reward(items, self._prior())

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits; as in `PreferenceModel.user_reward`."""
        self._check_fitted()
        placed = self._own(membership)
        draws = self._draws(placed)
        scaled, out = self._scaled(items), np.empty((len(items), len(placed)))
        for u in range(len(placed)):
            each = [rewards(self._network(), scaled, np.repeat(draw[None, u], len(items), axis=0)) for draw in draws]
            out[:, u] = np.mean(each, axis=0)
        return out

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) for somebody of whom nothing is known."""
        self._check_fitted()
        nobody = np.zeros(len(comparisons), dtype=np.int64)
        return self._proba(comparisons, nobody, self._prior())[:, None]

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row, averaged over what is not known of the user's place."""
        self._check_fitted()
        return self._proba(comparisons, comparisons.user, self._placed(comparisons, membership))

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by one pass of the encoder; those without a row have the prior."""
        self._check_fitted()
        active = comparisons.weight > 0
        c = comparisons
        rows = self._answers(c.items, c.user, c.left, c.right, c.outcome, c.weight, c.n_users).take(active)
        mean, variance = encode(self._network(), rows)
        n = np.bincount(c.user, active, c.n_users).astype(np.int64)
        return self._membership(c.users, np.ones((c.n_users, 1)), n, mean, _diagonal(variance))

    def _trained(self) -> Membership:
        covariance = _diagonal(self.position_variance_)
        return self._membership(self.users_, self.posterior_, self.n_answers_, self.position_, covariance)

    def _prior(self) -> Membership:
        nobody, factors = pa.array([""], pa.large_string()), self.position_.shape[1]
        return self._membership(
            nobody, np.ones((1, 1)), np.zeros(1, np.int64), np.zeros((1, factors)), np.eye(factors)[None]
        )

    def _draws(self, placed: Membership) -> Float[np.ndarray, "draws users factors"]:
        """Fixed draws of each person's place, in pairs of opposites, the same for everybody."""
        if placed.position is None or placed.covariance is None or placed.position.shape[1] != self.position_.shape[1]:
            raise UsageError(
                "The membership holds no places of this model.", fix="Use what this model's adapt() returned."
            )
        half = ndtri(_spread_out(N_DRAWS // 2, placed.position.shape[1]))
        half *= np.sqrt(N_DRAWS / 2) / np.linalg.norm(half, axis=0)
        noise = np.concatenate([half, -half])
        spread = np.sqrt(np.diagonal(placed.covariance, axis1=1, axis2=2))
        found: np.ndarray = placed.position + noise[:, None] * spread
        return found

    def _proba(self, comparisons: Comparisons, user: np.ndarray, placed: Membership) -> Float[np.ndarray, " pairs"]:
        """The sigmoid of the mean logit, drawn in by its variance over places (MacKay 1992)."""
        scaled, draws, network = self._scaled(comparisons.items), self._draws(placed), self._network()
        p = np.empty(len(comparisons))
        for start in range(0, len(p), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            left, right = scaled[comparisons.left[rows]], scaled[comparisons.right[rows]]
            z = np.stack(
                [rewards(network, left, d[user[rows]]) - rewards(network, right, d[user[rows]]) for d in draws]
            )
            p[rows] = expit(z.mean(axis=0) / np.sqrt(1.0 + SPREAD * z.var(axis=0)))
        return p

    def _network(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in NETWORK}

    def _answers(
        self,
        items: Items,
        user: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        outcome: np.ndarray,
        weight: np.ndarray,
        n_users: int,
    ) -> Answers:
        return Answers(self._scaled(items), user, left, right, outcome, weight, n_users)

    def _scaled(self, items: Items) -> Float[np.ndarray, "items dim"]:
        matrix = self._features(items)
        whole: np.ndarray = matrix.rows(np.arange(len(items))).astype(np.float64)
        return (whole - self.center_) / self.scale_

    def _set_scale(self, prepared: Prepared) -> None:
        """Centre and scale of the features over the items as often as they were judged: one scale for all axes."""
        played = prepared.problem.played
        share = played / played.sum()
        whole = np.asarray(prepared.comparisons.items.features, dtype=np.float64)
        self.center_ = share @ whole
        spread = float(share @ ((whole - self.center_) ** 2).mean(axis=1))
        self.scale_ = float(np.sqrt(spread)) if spread > 1e-12 else 1.0

    def _diagnose(self, prepared: Prepared, seed: int) -> None:
        """Warn where a linear reward explains every answer: the size of rewards then rests on when training stops."""
        terms = Terms(ridge=1e-2 * feature_unit(prepared))
        fit = fit_mixture(prepared.problem, 1, terms, rng=np.random.default_rng([seed, 32]), tol=1e-6)
        self.n_components_, self.separable_ = diagnose(prepared, terms, fit)

    def _check_settings(self) -> None:
        def require(name: str, fine: bool, allowed: str) -> None:
            if not fine:
                refuse(self, name, allowed)

        for name in ("factors", "hidden", "max_epochs", "patience"):
            require(name, is_whole(getattr(self, name)), "an integer of at least 1")
        require("warm_up", is_number(self.warm_up) and self.warm_up >= 0, "an integer of at least 0")
        require("pooling", self.pooling in ("attention", "mean"), '"attention" or "mean"')
        require("beta", is_number(self.beta) and self.beta > 0, "a positive number: without it q(z) is unchecked")
        require("held_out", is_number(self.held_out) and 0 < self.held_out <= 0.5, "a share in (0, 0.5]")
        require("learning_rate", is_number(self.learning_rate) and self.learning_rate > 0, "a positive number")
        require("weight_decay", is_number(self.weight_decay) and self.weight_decay >= 0, "a number of at least 0")

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        extents = self.spec.give(self, document, arrays)
        require_state(extents["pooled"] == extents["hidden"] + 1, "the layers of the network do not fit")
        require_state(document["scale_"] > 0, "the scale is not positive")


def _diagonal(variance: Float[np.ndarray, "users factors"]) -> Float[np.ndarray, "users factors factors"]:
    return variance[:, :, None] * np.eye(variance.shape[1])


def _spread_out(count: int, factors: int) -> Float[np.ndarray, "count factors"]:
    """Points spread evenly over the open unit cube: a lattice along powers of the generalised golden ratio."""
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (factors + 1))
    turns = ratio ** -np.arange(1.0, factors + 1.0)
    return np.mod(0.5 + np.arange(1, count + 1)[:, None] * turns, 1.0)
