"""PAL-B: ideal points that depend on the prompt."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from pluralism.data.labels import encode_labels
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.models.mapped_items import MAP_ARRAYS, MappedItems
from pluralism.models.preparation import Prepared
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.models.prototypes import prototype_spec
from pluralism.models.settings import is_whole, refuse
from pluralism.models.state import require_state
from pluralism.random import RNG
from pluralism.solvers.angle_table import AngleTable, unit_rows
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import ItemTable
from pluralism.solvers.prototypes import PrototypeFit

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.data.folds import FoldBy

__all__ = ["PromptIdealPoint"]

BLOCK = 4096


class PromptIdealPoint(MappedItems):
    """Ideal points mixed from prototypes that move with the prompt (PAL-B).

    Prototype k asks of an answer to prompt c that it be close to g_k(c) = P_k + B_k h(c), where h(c) is what is known
    of the prompt; an answer x is at f(x), by a linear map or one with a hidden layer. People are weights on the
    prototypes. With loss "distance" prototype k rewards x with 2 f . g_k - f . f, with "angle" by the cosine of f and
    g_k times a scale that is learnt, softened where either is short: s f . g_k / sqrt((1 + f . f) (1 + g_k . g_k)).

    What is known of prompts are `Items.prompt_features` (see `Items.with_prompt_features` and
    `Items.embed(prompts=True)`). Without them a prompt is described by the mean features of its items, and a
    `DataWarning` says so; of items without any prompt the prototypes stay where they are.

    Parameters
    ----------
    n_prototypes : "auto" or int
        "auto" takes the fewest within one standard error of the best held-out user likelihood.
    max_prototypes : int
        The most that "auto" tries.
    loss : {"distance", "angle"}
        Squared distances, or cosines as published. The published angle is that to the mixture of the prototypes; here
        cosines are mixed, which differs by a factor for each user and prompt and keeps the model linear in the
        weights.
    map : {"linear", "mlp"}
        The shared map f, as in `IdealPoint`; with "mlp" the loss is "distance".
    hidden : int
        Units of the hidden layer.
    latent_dim : "auto" or int
        Dimensions of the space, as in `IdealPoint`; not more than the features have.
    weights : {"mixture", "partition"}
        Users are anywhere between the prototypes, or at one of them each.
    ridge : "auto" or float
        Prior precision of the maps and the prototypes, in units of the features' mean squared distance from their
        mean; "auto" chooses it by the NLL of held-out blocks.
    concentration : "auto" or float
        Strength of a symmetric Dirichlet prior on users' weights while the prototypes are fitted (in a mixture), as
        in `IdealPoint`.
    n_init : int
        Starts.
    blocks : {"auto", "prompt", "item", "user", "vote", "pair", "row"}
        What is held out together when the ridge is chosen.
    tol : float
        Convergence tolerance in nats an answer. Angles hardly depend on lengths, whose last digits take long: 1e-6 is
        enough for them.
    max_iter : int
    rng : int, Generator or None

    Attributes
    ----------
    map_ : array of shape (latent, dim)
        With a hidden layer the columns for its units follow.
    hidden_weight_, hidden_bias_ : arrays of shape (hidden, dim) and (hidden,), or None
    prototypes_ : array of shape (groups, latent)
        Where the prototypes are for the average prompt.
    prompt_maps_ : array of shape (groups, latent, context)
        How they move with what is known of the prompt.
    scale_ : float or None
        For the angle: what the cosines are multiplied with.
    prompt_source_ : {"given", "items", "none"}
        Where what is known of prompts comes from.

    References
    ----------
    D. Chen et al., PAL: Sample-efficient personalized reward modeling for pluralistic alignment, ICLR 2025
    (arXiv:2406.08469), model B.
    """

    spec = prototype_spec(
        MAP_ARRAYS
        | {
            "prototypes_": ("groups", "latent"),
            "prompt_maps_": ("groups", "latent", "context"),
            "prompt_center_": ("context",),
            "prompt_means_": ("prompts", "context"),
        },
        optional=(*(name for name in MAP_ARRAYS if name != "map_"), "prompt_means_", "prompt_labels_"),
        optional_numbers=("scale_", "hidden_scale_"),
        labels={"users_": "users", "prompt_labels_": "prompts"},
        plain=("prompt_source_",),
    )
    _number: ClassVar[str] = "n_prototypes"

    def __init__(
        self,
        *,
        n_prototypes: int | Literal["auto"] = "auto",
        max_prototypes: int = 8,
        loss: Literal["distance", "angle"] = "distance",
        map: Literal["linear", "mlp"] = "linear",
        hidden: int = 256,
        latent_dim: int | Literal["auto"] = 16,
        weights: Literal["mixture", "partition"] = "mixture",
        ridge: float | Literal["auto"] = "auto",
        concentration: float | Literal["auto"] = "auto",
        n_init: int = 4,
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 1000,
        rng: RNG = 0,
    ) -> None:
        self.n_prototypes = n_prototypes
        self.max_prototypes = max_prototypes
        self.loss = loss
        self.map = map
        self.hidden = hidden
        self.latent_dim = latent_dim
        self.weights = weights
        self.ridge = ridge
        self.concentration = concentration
        self.n_init = n_init
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.rng = rng

    @property
    def minibatched(self) -> bool:
        """Whether part of the model is learnt by minibatches, which are drawn in the order of the rows."""
        return self.map == "mlp"

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Reward of each item for somebody at each prototype, in logits, up to a constant within a prompt."""
        f = self.embed(items)
        context = self._context(items)
        out = np.empty((len(items), self.n_groups_))
        for k in range(self.n_groups_):
            goal = self.prototypes_[k] + context @ self.prompt_maps_[k].T
            if self.scale_ is None:
                out[:, k] = 2.0 * np.einsum("ij,ij->i", f, goal) - np.einsum("ij,ij->i", f, f)
            else:
                out[:, k] = self.scale_ * np.einsum("ij,ij->i", unit_rows(f)[0], unit_rows(goal)[0])
        return out

    def _features_of(self, prepared: Prepared) -> tuple[Prepared, CentredFeatures]:
        items = prepared.comparisons.items
        codes = items.prompt_codes()
        problem = prepared.problem
        across = (codes[problem.left] != codes[problem.right]) & (problem.weight > 0)
        if across.any():
            row = int(prepared.order[int(np.flatnonzero(across)[0])])
            raise DataError(
                f"{int(across.sum())} comparisons are of items of two different prompts, and prompts have ideal points "
                "of their own.",
                where=f"for example row {row}",
                fix='Leave them out, or use IdealPoint (recipe "pal-a").',
            )
        known = describe(items)
        if known.source != "given":
            what = (
                "The items have no prompts: the prototypes are the same everywhere, as in IdealPoint."
                if known.source == "none"
                else "The items have no features of their prompts: each prompt is described by the mean of its items' "
                "features. Attach some with .with_prompt_features(...) or .embed(encoder, prompts=True)."
            )
            warnings.warn(what, DataWarning, stacklevel=3)
        prepared, features = super()._features_of(prepared)
        return prepared, PromptedFeatures(features, known, items, problem.played > 0)

    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        kind = AngleTable if self.loss == "angle" else IdealTable
        return kind(features, n_groups, n_latent, ridge, prompts=features.prompts)

    def _deepened(self, search: PrototypeSearch, n_groups: int) -> PrototypeSearch:
        if self.map != "mlp":
            return search
        from pluralism.models.hidden_layer import deepened

        return deepened(search, n_groups, self.hidden)

    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        features = getattr(table.features, "inputs", table.features)
        if not isinstance(table, IdealTable) or not isinstance(features, PromptedFeatures):
            raise TypeError("prompts move ideal points")
        a, p, b = table.parts(fit.x)
        self._learn_map(table.features, np.array(a))
        self.prototypes_ = np.array(p)
        self.prompt_maps_ = np.array(b) / features.prompt_scale
        self.prompt_center_ = features.prompt_center
        known = features.known
        self.prompt_source_, self.prompt_labels_, self.prompt_means_ = known.source, known.labels, known.means
        self.scale_ = table.scale(fit.x) if isinstance(table, AngleTable) else None

    def _context(self, items: Items) -> Float[np.ndarray, "items context"]:
        width = len(self.prompt_center_)
        found = PromptKnowledge(self.prompt_source_, width, self.prompt_labels_, self.prompt_means_).rows(items)
        return np.nan_to_num(found - self.prompt_center_)

    def _given_dimensions(self) -> int | None:
        return None if self.latent_dim == "auto" else int(self.latent_dim)

    def _check_own_settings(self) -> None:
        if self.loss not in ("distance", "angle"):
            refuse(self, "loss", '"distance" or "angle"')
        if self.map not in ("linear", "mlp"):
            refuse(self, "map", '"linear" or "mlp"')
        if not is_whole(self.hidden):
            refuse(self, "hidden", "an integer of at least 1")
        if self.map == "mlp" and self.loss == "angle":
            raise UsageError(
                'loss="angle" is not possible with map="mlp": the layer learns what distances leave over.',
                fix='Set loss="distance" or map="linear".',
            )

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        require_state(self.prompt_source_ in ("given", "items", "none"), "prompt_source_ is unknown")
        require_state((self.prompt_source_ == "items") == (self.prompt_means_ is not None), "prompt_means_ is missing")


@dataclass(frozen=True)
class PromptKnowledge:
    """What is known of prompts, and where from: given with the items, the means of the items' features, or nothing."""

    source: Literal["given", "items", "none"]
    width: int
    labels: pa.Array | None = None
    means: Float[np.ndarray, "prompts context"] | None = None

    def rows(self, items: Items) -> Float[np.ndarray, "items context"]:
        """What is known of each item's prompt; NaN for items without a prompt."""
        out = np.full((len(items), self.width), np.nan)
        codes = items.prompt_codes()
        asked = codes >= 0
        if self.source == "none" or not asked.any():
            return out
        if self.source == "given":
            if items.prompt_features is None:
                raise DataError(
                    "The items have no features of their prompts, and this model was fitted on such.",
                    fix="Attach them with .with_prompt_features(...) or .embed(encoder, prompts=True).",
                )
            rows = np.asarray(items.prompt_features, dtype=np.float64)
            if rows.shape[1] != self.width:
                raise DataError(
                    f"The prompts have {rows.shape[1]} features, the model was fitted on {self.width}.",
                    fix="Describe prompts as for the fit.",
                )
        else:
            rows = _means(items)
            if self.labels is not None and self.means is not None:
                found = pc.fill_null(pc.index_in(encode_labels(items.prompts)[1], value_set=self.labels), -1)
                where = found.to_numpy(zero_copy_only=False).astype(np.int64)
                rows[where >= 0] = self.means[where[where >= 0]]
        out[asked] = rows[codes[asked]]
        return out


def describe(items: Items) -> PromptKnowledge:
    """What the items of a fit say of their prompts."""
    if items.prompts is None:
        return PromptKnowledge("none", 0)
    if items.prompt_features is not None:
        return PromptKnowledge("given", int(items.prompt_features.shape[1]))
    return PromptKnowledge("items", items.dim, encode_labels(items.prompts)[1], _means(items))


class PromptedFeatures(CentredFeatures):
    """Features with what is known of each item's prompt, centred and scaled likewise."""

    def __init__(
        self, features: CentredFeatures, known: PromptKnowledge, items: Items, played: Bool[np.ndarray, " items"]
    ) -> None:
        super().__init__(features.matrix, features.center, features.scale)
        self.known = known
        self.prompt_center, self.prompt_scale = np.zeros(known.width), 1.0
        if known.source == "none":
            return
        rows = known.rows(items)
        used = rows[played & ~np.isnan(rows).any(axis=1)]
        self.prompt_center = used.mean(axis=0) if len(used) else np.zeros(known.width)
        size = float(np.sqrt(np.mean(np.sum((used - self.prompt_center) ** 2, axis=1)))) if len(used) else 0.0
        self.prompt_scale = size if size > 1e-8 else 1.0
        self.prompts = np.nan_to_num((rows - self.prompt_center) / self.prompt_scale)


def _means(items: Items) -> Float[np.ndarray, "prompts dim"]:
    """Mean features of each prompt's items, in the order of `prompt_codes`."""
    codes = items.prompt_codes()
    n = int(codes.max(initial=-1)) + 1
    total, count = np.zeros((n, items.dim)), np.zeros(n)
    features = np.zeros((len(items), 0)) if items.features is None else items.features
    for start in range(0, len(items), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(items)))
        rows = rows[codes[rows] >= 0]
        np.add.at(total, codes[rows], np.asarray(features[rows], dtype=np.float64))
        np.add.at(count, codes[rows], 1.0)
    return total / np.maximum(count, 1.0)[:, None]
