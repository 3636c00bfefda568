"""Rewards of texts: what trainers, decoders and judges of language models take, made from a fitted model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from pluralism.errors import ComparabilityWarning, UsageError
from pluralism.policy.directional_policy import unit_directions
from pluralism.policy.lm.reference_rewards import ReferenceRewards
from pluralism.policy.lm.text_scorer import TextScorer
from pluralism.policy.lm.welfare_weights import Welfare, welfare_weights
from pluralism.social_choice.utilities import Unit

if TYPE_CHECKING:
    from pluralism.embeddings import EmbeddingCache, Encoder
    from pluralism.models.base import PreferenceModel
    from pluralism.models.direction_choice import DirectionChoice
    from pluralism.models.membership import Membership
    from pluralism.policy.finite_policy import FinitePolicy
    from pluralism.social_choice.utilities import Utilities

__all__ = ["TextReward"]


@dataclass(frozen=True, eq=False, repr=False)
class TextReward:
    """Rewards of responses to prompts, in columns: one for each group, person or direction.

    Called, it gives one number a response, as trainers want it; for that it is of one column (`only`), or its columns
    are combined (`weighted`, `welfare`, `least`). Made by `of_groups`, `of_users` or `of_directions`.

    Attributes
    ----------
    names : tuple of str
        Of the columns.
    shares : array of shape (columns,)
        How large each group is; people and directions all count the same.
    scorer : TextScorer
        Encodes and scores texts; rewards made from one another share it, and what it remembers.
    columns : tuple of int
        Which columns of the scorer these are.
    reference : ReferenceRewards, optional
        The unit of the columns; without it they are as the model gives them.
    combination : str, optional
        "weights" or "least": how columns become one number.
    weights : array of shape (columns,), optional
    policy : FinitePolicy, optional
        After `welfare`: the optimum on the reference samples, with its certificate.
    """

    names: tuple[str, ...]
    shares: Float64[np.ndarray, " columns"]
    scorer: TextScorer
    columns: tuple[int, ...]
    reference: ReferenceRewards | None = None
    combination: Literal["weights", "least"] | None = None
    weights: Float64[np.ndarray, " columns"] | None = None
    policy: FinitePolicy | None = None

    @classmethod
    def of_groups(
        cls,
        model: PreferenceModel,
        encoder: str | Encoder | Callable[[list[str]], Any],
        *,
        names: Sequence[str] | None = None,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    ) -> TextReward:
        """One column for each group of a fitted model.

        Parameters
        ----------
        model : PreferenceModel
            Fitted on features; in logits, its rewards are known up to a constant for each prompt.
        encoder : str, Encoder or callable
            That of the fit.
        names : sequence of str, optional
            Of the groups; left out, "group 0", "group 1" and so on.
        cache : EmbeddingCache or path, optional
            Where vectors are kept for later runs.

        Raises
        ------
        UsageError
            The model has no features, or they are of another encoder.
        """
        scorer = TextScorer(model, encoder, model.reward, cache=cache)
        n = int(model.n_groups_)
        called = _names(names, [f"group {k}" for k in range(n)])
        return cls(called, np.asarray(model.group_weights_, dtype=np.float64), scorer, tuple(range(n)))

    @classmethod
    def of_users(
        cls,
        model: PreferenceModel,
        encoder: str | Encoder | Callable[[list[str]], Any],
        membership: Membership | None = None,
        *,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    ) -> TextReward:
        """One column for each person: the reward that is expected for them.

        Parameters
        ----------
        model, encoder, cache
            As in `of_groups`.
        membership : Membership, optional
            From `model.adapt` or `model.membership`; the training users by default.
        """
        placed = model.membership() if membership is None else membership
        users = tuple(map(str, placed.users.to_pylist()))
        scorer = TextScorer(model, encoder, lambda items: model.user_reward(items, placed), cache=cache)
        return cls(users, np.full(len(users), 1.0 / len(users)), scorer, tuple(range(len(users))))

    @classmethod
    def of_directions(
        cls,
        model: DirectionChoice,
        encoder: str | Encoder | Callable[[list[str]], Any],
        directions: Mapping[str, ArrayLike],
        *,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    ) -> TextReward:
        """One column for each direction over the attributes of a model such as `DirectionalReward`.

        Parameters
        ----------
        model, encoder, cache
            As in `of_groups`.
        directions : mapping of str to array of shape (attributes,)
            By name; any length but 0, they are normalised. `model.system_prompt` writes one as a policy reads it.
        """
        if not directions:
            raise UsageError("There are no directions.", fix="Give one by name, such as {'brief': [1.0, -0.5]}.")
        unit = np.stack([unit_directions(v, model.attributes_)[0] for v in directions.values()])
        scorer = TextScorer(model, encoder, lambda items: model.coordinates(items) @ unit.T, cache=cache)
        n = len(unit)
        return cls(tuple(directions), np.full(n, 1.0 / n), scorer, tuple(range(n)))

    @property
    def unit(self) -> Unit:
        """In what the columns are; see `pluralism.social_choice.Utilities`."""
        return "raw" if self.reference is None else self.reference.unit

    @property
    def utilities(self) -> Utilities:
        """The columns on the reference samples, as `pluralism.policy` takes them.

        Raises
        ------
        UsageError
            There are no reference samples.
        """
        if self.reference is None:
            raise UsageError("This reward has no reference samples.", fix="Use in_unit(unit, prompts, responses).")
        return self.reference.utilities

    def matrix(self, prompts: Sequence[str], responses: Sequence[str]) -> Float64[np.ndarray, "rows columns"]:
        """Rewards in the unit of this reward, one row for each response and one column for each name.

        Raises
        ------
        UsageError
            There are no responses, or not as many as prompts.
        DataError
            The unit needs reference responses, and a prompt has none.
        """
        raw = self.scorer(prompts, responses)[:, list(self.columns)]
        return raw if self.reference is None else self.reference(raw, prompts)

    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> Float64[np.ndarray, " rows"]:
        """One reward for each response.

        Raises
        ------
        UsageError
            There are several columns, and nothing says how they become one number.
        """
        if self.combination is None and len(self.names) > 1:
            raise UsageError(
                f"This reward has {len(self.names)} columns, and one number is asked for.",
                fix="Choose one with only(name), or combine them with weighted(), welfare() or least().",
            )
        found = self.matrix(prompts, responses)
        if self.combination == "least":
            return found.min(axis=1)
        return found[:, 0] if self.weights is None else found @ self.weights

    def only(self, *names: str) -> TextReward:
        """The columns of these names.

        Raises
        ------
        UsageError
            There is no such column, or the columns are already combined.
        """
        self._open()
        unknown = [name for name in names if name not in self.names]
        if unknown or not names or len(set(names)) != len(names):
            raise UsageError(
                f"There is no column {unknown[0]!r}."
                if unknown
                else "Columns are chosen by one distinct name or more.",
                fix=f"Choose among {', '.join(map(repr, self.names[:20]))}.",
            )
        kept = [self.names.index(name) for name in names]
        shares = self.shares[kept]
        total = shares.sum()
        return replace(
            self,
            names=tuple(names),
            shares=shares / total if total > 0 else np.full(len(kept), 1.0 / len(kept)),
            columns=tuple(self.columns[k] for k in kept),
            reference=None if self.reference is None else self.reference.take(kept),
        )

    def in_unit(
        self, unit: Unit, prompts: Sequence[str], responses: Sequence[str], *, shrinkage: float = 0.0
    ) -> TextReward:
        """The same columns in a unit in which they can be compared, measured on samples of a reference policy.

        Parameters
        ----------
        unit : {"gain", "normalised", "cdf", "regret", "raw"}
            Less the mean of the prompt's samples; that over its standard deviation; the share of the samples beaten;
            or less the best of them. See `pluralism.social_choice.Utilities`.
        prompts, responses : sequences of str
            The samples, several for each prompt that rewards will be asked for: those of ``Generations`` are
            ``written.prompt_texts, written.texts``.
        shrinkage : float
            For "cdf", with few samples: see `pluralism.calibration.CDFCalibrator`.

        Raises
        ------
        UsageError
            There is no such unit, or shrinkage that cannot work.
        """
        self._open()
        if unit not in get_args(Unit) or not 0 <= shrinkage < np.inf or (shrinkage and unit != "cdf"):
            raise UsageError(
                f"unit={unit!r} with shrinkage={shrinkage!r} is not possible.",
                fix=f"The unit is one of {', '.join(get_args(Unit))}; shrinkage goes with 'cdf' and is 0 or more.",
            )
        raw = self.scorer(prompts, responses)[:, list(self.columns)]
        reference = ReferenceRewards.of_samples(
            raw, prompts, unit=unit, groups=self.names, shares=self.shares, shrinkage=shrinkage
        )
        return replace(self, reference=reference)

    def weighted(self, weights: ArrayLike | Mapping[str, float] | None = None) -> TextReward:
        """The weighted sum of the columns, by default with their shares.

        Parameters
        ----------
        weights : array of shape (columns,) or mapping of str to float, optional
            Of either sign; a mapping names columns, and others have 0.

        Raises
        ------
        UsageError
            The weights do not fit the columns.
        """
        self._open()
        if isinstance(weights, Mapping):
            unknown = [name for name in weights if name not in self.names]
            if unknown:
                raise UsageError(f"There is no column {unknown[0]!r}.", fix=f"Choose among {self.names}.")
            weights = [weights.get(name, 0.0) for name in self.names]
        given = self.shares if weights is None else np.asarray(weights, dtype=float)
        if given.shape != (len(self.names),) or not np.isfinite(given).all():
            raise UsageError(f"weights are {len(self.names)} finite numbers.", fix="Give one for each column.")
        return replace(self, combination="weights", weights=given.copy())

    def welfare(self, rule: Welfare, *, beta: float) -> TextReward:
        """One reward whose KL-regularised optimum, on the reference samples, is the policy of a welfare rule.

        Parameters
        ----------
        rule : {"utilitarian", "maxmin", "nash"}
        beta : float
            Price of a nat of KL that the trainer will use, in the unit of the columns ("nash": in units of
            log-welfare).

        Returns
        -------
        TextReward
            With `weights`, and in `policy` the optimum on the samples. A trainer that updates weights as it goes, such
            as GRPO with dual weights, starts from them.

        Raises
        ------
        UsageError
            There are no reference samples: use `in_unit` first.
        DataError
            With "nash": no policy serves all groups better than the reference.
        """
        self._open()
        weights, policy = welfare_weights(self.utilities, rule, beta=beta)
        return replace(self, combination="weights", weights=weights, policy=policy)

    def least(self) -> TextReward:
        """The least of the columns for each response: the published shortcut to MaxMin, which is not MaxMin.

        See `pluralism.policy.sample_minimum`, and `welfare` with "maxmin" for the rule itself.

        Warns
        -----
        ComparabilityWarning
            The columns are raw rewards, whose zero is arbitrary for each prompt and group.
        """
        self._open()
        if self.unit == "raw" and len(self.names) > 1:
            warnings.warn(
                "The least of raw rewards means nothing: their zero is arbitrary for each prompt and group. Use "
                "in_unit('gain', ...), or 'cdf', 'normalised' or 'regret'.",
                ComparabilityWarning,
                stacklevel=2,
            )
        return replace(self, combination="least")

    def __repr__(self) -> str:
        n = len(self.names)
        shown = ", ".join(self.names[:4]) + (", ..." if n > 4 else "")
        how = ""
        if self.combination == "least":
            how = "; the least of them"
        elif self.weights is not None:
            how = f"; weights {', '.join(f'{w:.3g}' for w in self.weights[:4])}{', ...' if n > 4 else ''}"
        kind, encoder = type(self.scorer.model).__name__, self.scorer.encoder.name
        return f"TextReward({kind} on {encoder}; {self.unit}; {shown}{how})"

    def _open(self) -> None:
        if self.combination is not None:
            raise UsageError(
                "The columns of this reward are already combined into one number.",
                fix="Start from the reward before weighted(), welfare() or least().",
            )


def _names(given: Sequence[str] | None, default: list[str]) -> tuple[str, ...]:
    names = tuple(default if given is None else map(str, given))
    if len(names) != len(default) or len(set(names)) != len(names):
        raise UsageError(f"names are {len(default)} distinct names.", fix="Give one for each group.")
    return names
