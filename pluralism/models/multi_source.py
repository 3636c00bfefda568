"""Several sources or objectives, one reward: a shared head, a drift for each source, and weights for the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.models.base import Callback
from pluralism.models.diagnosis import refuse_separable
from pluralism.models.fitting import Memory, check_settings, choose_terms
from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.multi_source_fit import learn_sources
from pluralism.models.pooled_control import pooled_control
from pluralism.models.preparation import prepare
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import require_state
from pluralism.random import RNG, as_seed
from pluralism.solvers import Terms, suitable_threads

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["MultiSource"]

WEIGHTS = ("uniform", "size", "min_norm", "min_norm_normalised", "group_dro")


class MultiSource(LinearPreferenceModel):
    """A reward learnt from several sources (data sets, objectives) that mostly agree.

    Source k has the head w_k = w_0 + u_k: what all share, plus a drift of its own that is shrunk towards 0. The
    groups of this model are the sources, the largest first; a row with a known source is predicted by it.

    Parameters
    ----------
    weights : {"uniform", "size", "min_norm", "min_norm_normalised", "group_dro"}
        What the sources count for: the same each; as many rows as they have; by steps along the point of least norm of
        their gradients (as they are, or each of length 1), which lower every source's loss; the worst source most.
    drift : "auto", None or float
        Precision of the drifts, as a multiple of the shared head's. None: no drift, one head for all. "auto": by the
        NLL of held-out blocks, averaged over sources, none among the choices (always none with least-norm weights).
    published : bool
        Train as the paper's code does (needs weights="min_norm_normalised" and features): `n_steps` stochastic steps
        with running means of normalised gradients, Frank-Wolfe and Adam. No guarantees, no uncertainty.
    n_steps, batch : int
        Of the published training: steps, and comparisons of each source in a step.
    sharpness : float
        Of group DRO, in 1 / nat: the larger, the more the worst source counts alone.
    ridge, item_effects, covariates, position_bias, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`.

    Attributes
    ----------
    sources_ : list of str or None
        Names of the sources, in the order of the groups; None where rows name none, which are a source of their own.
    source_weights_ : array of shape (groups,)
        What each source's mean loss counted for at the end of the fit.
    shared_coef_ : array of shape (1, dim) or None
    drift_ : float or None
        The precision ratio used.
    drift_path_ : list of (ratio or None, NLL)

    References
    ----------
    D. Zeng et al., On diversified preferences of large language model alignment, Findings of EMNLP 2024,
    arXiv:2312.07401. J.-A. Desideri, Multiple-gradient descent algorithm (MGDA), CRAS 350 (2012).
    S. Sagawa et al., Distributionally robust neural networks, ICLR 2020.

    Examples
    --------
    >>> from pluralism.data import Comparisons
    >>> data = Comparisons.from_arrays(["a", "b", "c"], ["b", "c", "a"], source=["web", "web", "lab"])
    >>> MultiSource(ridge=1.0, drift=3.0).fit(data).sources_
    ['web', 'lab']
    """

    spec = replace(
        SPEC,
        arrays={
            **SPEC.arrays,
            "source_weights_": ("groups",),
            "shared_coef_": ("one", "dim"),
            "shared_item_effects_": ("one", "items"),
            "shared_covariate_effects_": ("one", "covariates"),
        },
        optional=SPEC.optional | {"shared_coef_", "shared_item_effects_"},
        optional_numbers=(*SPEC.optional_numbers, "drift_"),
        plain=(*SPEC.plain, "drift_path_"),
    )

    def __init__(
        self,
        *,
        weights: Literal["uniform", "size", "min_norm", "min_norm_normalised", "group_dro"] = "uniform",
        drift: float | Literal["auto"] | None = "auto",
        published: bool = False,
        n_steps: int = 2000,
        batch: int = 16,
        sharpness: float = 30.0,
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.weights = weights
        self.drift = drift
        self.published = published
        self.n_steps = n_steps
        self.batch = batch
        self.sharpness = sharpness
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.uncertainty = uncertainty
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons, by their `source`; without sources there is one, and the model is Bradley-Terry.

        Rows that name no source are one more source.

        Parameters
        ----------
        comparisons : Comparisons
        checkpoint, callback
            As in `BradleyTerry.fit`.
        """
        self._forget()
        control = pooled_control(self)
        check_settings(control)
        self._check()
        named, names = _by_source(comparisons)
        people = prepare(comparisons, self.covariates, position_bias=self.position_bias)
        prepared = prepare(named, self.covariates, position_bias=self.position_bias)
        if self.published and prepared.problem.features is None:
            raise UsageError(
                "The published training is of a head on features, and the items have none.",
                fix="Call .embed(encoder) on the comparisons, or leave published=True out.",
            )
        if self.ridge == 0:
            refuse_separable(people)
        seed = as_seed(self.rng)
        memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}", prepared, callback)
        with suitable_threads(prepared.problem):
            plan = choose_terms(control, people, Terms(), 1, memory, seed)
            extra = plan.terms.item_precision is not None or len(self.covariates) > 0 or self.position_bias
            if self.published and extra:
                raise UsageError(
                    "The published training is of a head on features alone.",
                    fix="Set item_effects=False, and leave covariates and position_bias out.",
                )
            order = learn_sources(self, replace(prepared, comparisons=comparisons), plan, memory, seed)
        present = [names[int(label)] for label in prepared.users.to_pylist()]
        self.sources_ = [present[k] for k in order]
        placed = self.adapt(comparisons)
        users = np.unique(comparisons.user)
        self.users_, self.posterior_ = placed.users.take(pa.array(users)), placed.posterior[users]
        self.n_answers_ = placed.n[users]
        return self

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for each row.

        By its source's head where the source is known, by the shared head where the row names another one. A row that
        names none is predicted as such rows of the fit were, or, where all of them had a source, by the mix of sources
        behind its user.
        """
        self._check_fitted()
        z = self._logits(comparisons)
        weight = self._placed(comparisons, membership).posterior[comparisons.user]
        found = np.sum(weight * expit(z), axis=1)
        code = self._source_codes(comparisons)
        known = code >= 0
        found[known] = expit(z[known, code[known]])
        foreign = code == FOREIGN
        if foreign.any():
            found[foreign] = expit(self._shared_logits(comparisons)[foreign])
        return found

    def shared_reward(self, items: Items) -> Float[np.ndarray, " items"]:
        """Reward of each item by what all sources share, in logits."""
        self._check_fitted()
        scores = np.zeros(len(items))
        if self.shared_coef_ is not None:
            scores += self._features(items).matmul(self.shared_coef_.T)[:, 0]
        if self.shared_item_effects_ is not None:
            known, where = self._known_items(items)
            scores[known] += self.shared_item_effects_[0, where]
        return scores

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Which sources' heads speak for each user: those their rows name, or those that explain them.

        A row of a known source counts as one answer for it, beside the shares of the sources as one answer more (rows
        that name none, for the source that such rows were in the fit). Answers of unknown sources are weighed by their
        likelihood.
        """
        self._check_fitted()
        code = self._source_codes(comparisons)
        unnamed = comparisons.take(code < 0)
        placed = super().adapt(unnamed)
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        counts = self._source_counts(comparisons, code)
        total = counts.sum(axis=1, keepdims=True)
        return self._membership(comparisons.users, (placed.posterior + counts) / (1.0 + total), n)

    def _source_counts(
        self, comparisons: Comparisons, code: Int[np.ndarray, " pairs"]
    ) -> Float[np.ndarray, "users groups"]:
        rows = code >= 0
        cell = comparisons.user[rows].astype(np.int64) * self.n_groups_ + code[rows]
        size = comparisons.n_users * self.n_groups_
        counts = np.bincount(cell, comparisons.weight[rows], size).astype(np.float64)
        return counts.reshape(comparisons.n_users, self.n_groups_)

    def _source_codes(self, comparisons: Comparisons) -> Int[np.ndarray, " pairs"]:
        """Group of each row's source; FOREIGN for a source that the fit has not seen, NONE for none at all.

        Rows that name none have the group of such rows, where there is one.
        """
        none = self.sources_.index(None) if None in self.sources_ else NONE
        if comparisons.source is None or comparisons.sources is None or len(comparisons.sources) == 0:
            return np.full(len(comparisons), none)
        position = {name: k for k, name in enumerate(self.sources_)}
        table = np.array([position.get(name, FOREIGN) for name in comparisons.sources.to_pylist()])
        return np.where(comparisons.source >= 0, table[np.maximum(comparisons.source, 0)], none)

    def _shared_logits(self, comparisons: Comparisons) -> Float[np.ndarray, " pairs"]:
        reward = self.shared_reward(comparisons.items)
        z = reward[comparisons.left] - reward[comparisons.right]
        return z + self._design(comparisons) @ self.shared_covariate_effects_[0]

    def _check(self) -> None:
        if self.weights not in WEIGHTS:
            refuse(self, "weights", " or ".join(map(repr, WEIGHTS)))
        if self.drift not in ("auto", None) and not (is_number(self.drift) and float(self.drift) > 0):
            refuse(self, "drift", '"auto", None or a positive number')
        if self.drift not in ("auto", None) and self.weights.startswith("min_norm"):
            refuse(self, "drift", f"None with weights={self.weights!r}, which are about one head for all sources")
        if self.published not in (True, False) or (self.published and self.weights != "min_norm_normalised"):
            refuse(self, "published", 'True with weights="min_norm_normalised" alone, else False')
        for name in ("n_steps", "batch"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "a whole number of at least 1")
        if not (is_number(self.sharpness) and self.sharpness > 0):
            refuse(self, "sharpness", "a positive number")

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document, arrays = super()._state()
        return document | {"sources": self.sources_}, arrays

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        if "sources" in document:
            sources = document["sources"]
        else:
            sources = [None if name == FORMERLY else name for name in document["sources_"]]
        named = isinstance(sources, list) and all(name is None or isinstance(name, str) for name in sources)
        require_state(named and len(set(sources)) == len(sources) == self.n_groups_, "sources and groups disagree")
        self.sources_ = sources


NONE, FOREIGN = -2, -1
FORMERLY = "(no source)"
"""How files of earlier versions call the source of the rows that name none, in the list `sources_`."""


def _by_source(comparisons: Comparisons) -> tuple[Comparisons, list[str | None]]:
    """The comparisons with the numbers of their sources in the place of users, and the name behind each number."""
    from pluralism.data import Comparisons as Made

    names: list[str | None] = [] if comparisons.sources is None else comparisons.sources.to_pylist()
    source = np.full(len(comparisons), -1) if comparisons.source is None else comparisons.source.astype(np.int64)
    code = np.where(source < 0, len(names), source)
    names.append(None)
    made = Made(**{**vars(comparisons), "user": code, "users": [str(k) for k in range(len(names))]})
    return made, names
