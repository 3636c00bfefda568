"""Plackett-Luce and its mixture over users: rewards from rankings, full, partial or tied."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import logsumexp, softmax

from pluralism.errors import DataWarning, UsageError
from pluralism.models.ballot_selection import Fold, choose_precision, held_out_folds, held_out_voters
from pluralism.models.ballot_uncertainty import ballot_uncertainty
from pluralism.models.ballots import Columns, PreparedBallots, Source, ballots_of, prepare_ballots
from pluralism.models.base import Callback
from pluralism.models.diagnosis import diagnose, refuse_separable
from pluralism.models.fitting import EFFECTS_WORTH_HAVING, Memory, Plan, Uncertainty, feature_unit, learn
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.selection import GroupChoice, RidgeChoice
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.random import RNG, as_seed
from pluralism.solvers import MixtureFit, Terms, fit_mixture, suitable_threads
from pluralism.solvers.plackett_luce import Ballots, RankingProblem, ranking_log_likelihood

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items, Rankings

__all__ = ["PlackettLuce"]

PATIENCE = 2
WITHOUT_CHOICE = 1.0


class PlackettLuce(LinearPreferenceModel):
    """Rankings as a series of choices of the best of what is left, for everybody or for groups of people.

    In group k, item i is chosen first among the items R that are left with probability
    exp(r_k(i)) / sum over j in R of exp(r_k(j)), and r_k(i) = coef_k . features(i) + effect of i. A ballot of two
    items is Bradley-Terry's comparison. Items tied on a ballot come before all that is below them, in an order that
    the ballot does not tell: the likelihood is the sum over these orders.

    Parameters
    ----------
    n_groups : "auto" or int
        "auto" takes the fewest groups within one standard error of the best likelihood of held-out people.
    max_groups : int
        The most groups "auto" tries.
    unlisted : {"ignore", "below"}
        What it means that an item is not on a ballot: nothing (people ranked what they were shown), or that it is
        below all that is (elections with truncated ballots).
    ridge : "auto" or float
        Prior precision of the coefficients (of the item effects, where there are no features). "auto" chooses it by
        the likelihood of held-out ballots; 0 is no prior, and raises where the data have no finite fit.
    item_effects : "auto", bool or float
        Each item's own departure from what its features predict: a precision, or True to choose it by held-out
        ballots; "auto" has them where items are on five ballots or more on average. Without features always on.
    n_init : int
        Starts carried to convergence.
    concentration : float
        Of the Dirichlet prior on the group weights, at least 1.
    tol : float
        Convergence tolerance in nats a ballot.
    max_iter : int
    uncertainty : bool
        Keep covariances (Laplace, of the marginal likelihood) for `reward_std`, and the information criteria.
    rng : int, Generator or None

    Attributes
    ----------
    selection_ : list of dict
        The table behind ``n_groups="auto"``.

    References
    ----------
    R. D. Luce, Individual Choice Behavior (1959). R. L. Plackett, The analysis of permutations, Applied Statistics 24
    (1975). I. C. Gormley, T. B. Murphy, Exploring voting blocs within the Irish electorate, JASA 103 (2008).

    Examples
    --------
    >>> from pluralism.data import Rankings
    >>> ballots = Rankings.from_lists([["tea", "milk", "gin"], ["tea", "gin", "milk"], ["milk", "tea", "gin"]])
    >>> model = PlackettLuce(n_groups=1, ridge=1.0).fit(ballots)
    >>> model.predict_ranking(ballots.items).to_lists()
    [[['tea'], ['milk'], ['gin']]]
    """

    takes: ClassVar[tuple[str, ...]] = ("rankings", "comparisons", "ratings")
    position_bias: ClassVar[bool] = False
    spec = LinearPreferenceModel.spec

    def __init__(
        self,
        *,
        n_groups: int | Literal["auto"] = "auto",
        max_groups: int = 8,
        unlisted: Literal["ignore", "below"] = "ignore",
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        n_init: int = 4,
        concentration: float = 2.0,
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.n_groups = n_groups
        self.max_groups = max_groups
        self.unlisted = unlisted
        self.ridge = ridge
        self.item_effects = item_effects
        self.n_init = n_init
        self.concentration = concentration
        self.tol = tol
        self.max_iter = max_iter
        self.uncertainty = uncertainty
        self.rng = rng

    def fit(
        self,
        comparisons: Source,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to rankings, comparisons or ratings.

        Parameters
        ----------
        comparisons : Rankings, Comparisons or Ratings
            Ratings are read as one ballot a user, by falling value.
        checkpoint : path, optional
            Directory for finished pieces of the fit; a killed fit called again with it goes on, to the same result.
        callback : callable, optional
            Called as (piece, iteration, objective).
        """
        self._forget()
        self._check_settings()
        seed = as_seed(self.rng)
        prepared = prepare_ballots(comparisons, self.unlisted, np.random.default_rng([seed, 10]))
        if self.ridge == 0:
            refuse_separable(prepared)
        memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}", prepared, callback)
        selection = None
        with suitable_threads(prepared.problem):
            found = held_out_folds(prepared, seed) if self._chooses(prepared) else None
            pooled = self._plan(prepared, 1, found, None, memory, seed)
            if self.n_groups == "auto":
                plan, fit, selection = self._choose_groups(prepared, found, pooled, memory, seed)
            else:
                plan = self._plan(prepared, int(self.n_groups), found, pooled, memory, seed)
                fit = self._run(prepared, plan.terms, int(self.n_groups), memory, seed)
            sure = ballot_uncertainty(prepared, plan.terms, fit) if self.uncertainty else Uncertainty()
            learn(self, prepared, plan, fit, found=sure)
            if self.n_groups_ > 1 and prepared.problem.features is not None:
                # whether one linear reward explains everything is a question about one group
                alone = self._run(prepared, pooled.terms, 1, memory, seed)
                self.separable_ = diagnose(prepared, pooled.terms, alone)[1]
        self.n_comparisons_ = int(np.count_nonzero(prepared.problem.ballots.weight))
        if selection is not None:
            self.selection_ = [row.to_dict() for row in selection]
        return self

    def adapt(self, comparisons: Source) -> Membership:
        """Place the users of rankings, comparisons or ratings by these answers and the group weights alone."""
        self._check_fitted()
        columns = ballots_of(comparisons, self.unlisted)
        evidence = self._evidence(columns.user, columns, comparisons.items, len(comparisons.users))
        with np.errstate(divide="ignore"):
            posterior = softmax(evidence + np.log(self.group_weights_), axis=1)
        n_rows = int(columns.row.max(initial=-1)) + 1
        owner, weight = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows)
        owner[columns.row] = columns.user
        np.add.at(weight, columns.row, columns.weight)
        n = np.bincount(owner, weight > 0, len(comparisons.users)).astype(np.int64)
        return self._membership(comparisons.users, posterior, n)

    def log_likelihood(
        self, rankings: Source, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " ballots"]:
        """Log-probability of each ballot for its user, in nats; a weight does not count.

        Parameters
        ----------
        rankings : Rankings, Comparisons or Ratings
        membership : Membership, optional
            From `adapt`; otherwise users of the training data are placed by their posterior, others by the prior.
        """
        self._check_fitted()
        columns = ballots_of(rankings, self.unlisted)
        rows = np.arange(len(columns.user))
        evidence = self._evidence(rows, columns, rankings.items, len(rows), weight=np.ones(len(rows)))
        holder = self._trained().lookup(rankings.users, self._prior())
        placed = (holder if membership is None else self._own(membership).lookup(rankings.users, holder)).posterior
        with np.errstate(divide="ignore"):
            return logsumexp(evidence + np.log(placed[columns.user]), axis=1)

    def top_choice_proba(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items groups"]:
        """P(item is chosen first among `items`) in each group, or for each user of a membership."""
        by_group: np.ndarray = softmax(self.reward(items), axis=0)
        return by_group if membership is None else by_group @ self._own(membership).posterior.T

    def predict_ranking(self, items: Items, membership: Membership | None = None) -> Rankings:
        """All items, by falling probability of being chosen first: one ballot a group, or one a user.

        Within a group this is the most probable order. The users of the result are "group 0", ..., or those of the
        membership.
        """
        from pluralism.data import Rankings

        first = self.top_choice_proba(items, membership)
        users = (
            pa.array([f"group {k}" for k in range(self.n_groups_)], pa.large_string())
            if membership is None
            else membership.users
        )
        n, n_ballots = first.shape
        order = np.argsort(-first, axis=0, kind="stable")
        return Rankings(
            items=items,
            users=users,
            user=np.arange(n_ballots),
            indptr=n * np.arange(n_ballots + 1),
            item=order.T.ravel(),
            rank=np.tile(np.arange(n), n_ballots),
        )

    def predict_tie_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """Refused: in Plackett-Luce a tie is an order that is not told, not an outcome.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(
            "Plackett-Luce has no probability of a tie.", fix='Fit BradleyTerry(ties="davidson") to comparisons.'
        )

    def reward_std(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Standard deviation of `reward` by Laplace's approximation of the marginal likelihood, in logits.

        Raises
        ------
        UsageError
            If the model was fitted without uncertainty, or has more than 512 coefficients in all groups together.
        """
        self._check_fitted()
        if self.covariance_ is None:
            raise UsageError(
                "This model has no covariance of its coefficients.",
                fix="Fit with uncertainty=True; covariances are kept for up to 512 coefficients (dimensions and item "
                "effects times groups), at an optimum that is not flat.",
            )
        return super().reward_std(items)

    def _evidence(
        self,
        user: np.ndarray,
        columns: Columns,
        items: Items,
        n_users: int,
        weight: np.ndarray | None = None,
    ) -> Float[np.ndarray, "users groups"]:
        """Log-likelihood of the ballots of each user under each group."""
        if weight is None:
            separate = columns.counted and len(np.unique(user)) == len(user)
            weight = np.where(columns.weight > 0, 1.0, 0.0) if separate else columns.weight
        table, _ = Ballots.build(user, columns.indptr, columns.item, columns.rank, weight, n_users=n_users)
        problem = RankingProblem.of(
            table, np.ones(n_users), n_items=len(items), features=None, rng=np.random.default_rng(0)
        )
        return ranking_log_likelihood(problem, self.reward(items))

    def _terms(self, ridge: float, item_precision: float | None) -> Terms:
        return Terms(ridge=ridge, item_precision=item_precision, concentration=self.concentration)

    def _chooses(self, prepared: PreparedBallots) -> bool:
        has_text = prepared.problem.features is not None
        return self.ridge == "auto" or (has_text and self.item_effects in ("auto", True))

    def _plan(
        self,
        prepared: PreparedBallots,
        n_groups: int,
        found: tuple[list[Fold], str] | None,
        pooled: Plan | None,
        memory: Memory,
        seed: int,
    ) -> Plan:
        """Decide the ridge, and the precision of item effects, which more groups have from one."""
        has_text = prepared.problem.features is not None
        if pooled is not None and (n_groups == 1 or not has_text):
            return pooled
        unit = feature_unit(prepared) if has_text else 1.0
        folds, blocks = (None, None) if found is None else found
        ridge = (unit if has_text else WITHOUT_CHOICE) if self.ridge == "auto" else float(self.ridge)
        precision = self._effects(prepared)
        if self._chooses(prepared) and folds is None:
            warnings.warn(
                "Too few ballots to choose a prior by; it is set to unit size. Pass ridge=... to set it yourself.",
                DataWarning,
                stacklevel=3,
            )
        if pooled is not None:
            ridge, precision = pooled.terms.ridge, pooled.terms.item_precision
        elif not has_text:
            precision = ridge
        tried: list[tuple[float, float]] | None = None

        def choose(terms: Callable[[float], Terms], start: float, name: str) -> tuple[float, list[tuple[float, float]]]:
            return choose_precision(
                folds or [],
                n_groups,
                terms,
                start=start / unit,
                unit=unit,
                memo=memory.piece,
                name=name,
                rng=np.random.default_rng([seed, 15]),
            )

        if folds is not None and self.ridge == "auto" and not has_text:
            precision, tried = choose(lambda x: self._terms(x, x), precision or WITHOUT_CHOICE, "ridge")
        elif folds is not None and has_text:
            if self.ridge == "auto":
                ridge, tried = choose(lambda x: self._terms(x, precision), ridge, f"ridge/{precision}")
            if pooled is None and precision is not None and self.item_effects in ("auto", True):
                precision, _ = choose(lambda x: self._terms(ridge, x), 10.0 * unit, f"effects/{ridge:.6g}")
        choice = None if tried is None else RidgeChoice(ridge if has_text else float(precision or ridge), tried)
        return Plan(self._terms(ridge, precision), choice, blocks)

    def _effects(self, prepared: PreparedBallots) -> float | None:
        """The item precision to begin with; None for no item effects."""
        if prepared.problem.features is None:
            return WITHOUT_CHOICE
        if self.item_effects is False:
            return None
        if self.item_effects == "auto":
            ballots = prepared.problem.ballots
            counts = np.bincount(ballots.item, minlength=prepared.problem.n_items)
            if len(ballots.item) < EFFECTS_WORTH_HAVING * np.count_nonzero(counts):
                return None
        return 10.0 if self.item_effects in ("auto", True) else float(self.item_effects)

    def _run(self, prepared: PreparedBallots, terms: Terms, n_groups: int, memory: Memory, seed: int) -> MixtureFit:
        name = f"fit/{n_groups}"
        return fit_mixture(
            prepared.problem,
            n_groups,
            terms,
            rng=np.random.default_rng([seed, 3, n_groups]),
            n_init=self.n_init,
            tol=self.tol,
            max_iter=self.max_iter,
            state=memory.state(name),
            on_iteration=memory.watcher(name),
        )

    def _choose_groups(
        self,
        prepared: PreparedBallots,
        found: tuple[list[Fold], str] | None,
        pooled: Plan,
        memory: Memory,
        seed: int,
    ) -> tuple[Plan, MixtureFit, list[GroupChoice]]:
        """Fewest groups within one standard error of the best likelihood of held-out people."""
        people = float(prepared.problem.voters.sum())
        if people < 2:
            raise UsageError(
                'n_groups="auto" needs at least two users with ballots.',
                where=f"{people:g} users",
                fix="Set n_groups to a number.",
            )
        plans: dict[int, Plan] = {}
        values: dict[int, np.ndarray] = {}
        count = mass = np.zeros(0)
        for k in range(1, min(self.max_groups, int(people)) + 1):
            plans[k] = self._plan(prepared, k, found, pooled, memory, seed)
            values[k], count, mass = held_out_voters(prepared, k, plans[k].terms, seed=seed, memo=memory.piece)
            best = max(values, key=lambda j: float(values[j] @ count))
            if k - best >= PATIENCE:
                break
        error, behind = {}, {}
        for k in values:
            difference = values[best] - values[k]
            behind[k] = float(difference @ count)
            spread = float(count @ (difference - behind[k] / people) ** 2) / max(people - 1.0, 1.0)
            error[k] = float(np.sqrt(people * spread))
        chosen = min(k for k in values if behind[k] <= error[k])
        scored = max(float(mass @ count), 1.0)
        rows, fits = [], {}
        for k in values:
            fits[k] = self._run(prepared, plans[k].terms, k, memory, seed)
            sure = ballot_uncertainty(prepared, plans[k].terms, fits[k]) if self.uncertainty else Uncertainty()
            rows.append(
                GroupChoice(
                    n_groups=k,
                    ridge=float(_ridge_of(prepared, plans[k].terms)),
                    held_out=float(values[k] @ count) / scored,
                    difference_to_best=behind[k] / scored,
                    se_to_best=error[k] / scored,
                    bic=sure.bic,
                    icl=sure.icl,
                    chosen=k == chosen,
                )
            )
        return plans[chosen], fits[chosen], rows

    def _check_settings(self) -> None:
        if self.n_groups != "auto" and not is_whole(self.n_groups):
            refuse(self, "n_groups", '"auto" or an integer of at least 1')
        for name in ("max_groups", "n_init", "max_iter"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "an integer of at least 1")
        if self.unlisted not in ("ignore", "below"):
            refuse(self, "unlisted", '"ignore" or "below"')
        if self.ridge != "auto" and not (is_number(self.ridge) and self.ridge >= 0):
            refuse(self, "ridge", '"auto" or a number of at least 0')
        if not (
            self.item_effects in ("auto", True, False)
            or (is_number(self.item_effects) and float(self.item_effects) > 0)
        ):
            refuse(self, "item_effects", '"auto", True, False or a positive precision')
        if not (is_number(self.concentration) and self.concentration >= 1):
            refuse(self, "concentration", "a number of at least 1")
        if not (is_number(self.tol) and self.tol > 0):
            refuse(self, "tol", "a positive number")


def _ridge_of(prepared: PreparedBallots, terms: Terms) -> float:
    """The precision that stands for the prior: of the coefficients, or of the item effects where there are none."""
    return terms.ridge if prepared.problem.features is not None else terms.item_precision or 0.0
