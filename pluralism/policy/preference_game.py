"""Who is preferred to whom, as a game: preferences of a population that no reward need explain."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from pluralism.data.arrays import frozen
from pluralism.errors import DataError, UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.utilities import Utilities, normalised_log_reference
from pluralism.solvers.preference_games import exploitability, win_rates

__all__ = ["PreferenceGame"]

LOGITS = ("raw", "gain", "regret")
"""Units of utilities whose differences are the logits of Bradley-Terry."""
SYMMETRY = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class PreferenceGame:
    """Pairwise preferences of a population on each prompt's candidates, and a reference policy.

    Two players each choose a candidate, and preferences say how often the first is preferred to the second. A policy
    that no other is preferred to always exists: a Nash equilibrium, where preferences go in circles a mixed one.

    Parameters
    ----------
    preferences : array of shape (prompts, candidates, candidates)
        Entry (x, y, z) is the probability that y is preferred to z; entries (y, z) and (z, y) sum to 1, and the
        diagonal is 1/2. What stands in places without a candidate is not read.
    utilities : Utilities
        Over the same candidates, with the reference policy: what policies are described by. `from_groups` and
        `from_matrix` take the chance to beat a draw of the reference, for each group.

    Examples
    --------
    >>> stone_scissors_paper = [[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]
    >>> game = PreferenceGame.from_matrix(stone_scissors_paper, reference=[0.6, 0.3, 0.1])
    >>> game.exploitability(game.reference_policy)
    array([0.15])
    """

    preferences: Float[np.ndarray, "prompts candidates candidates"]
    utilities: Utilities

    def __post_init__(self) -> None:
        array = np.array(self.preferences, dtype=np.float64)
        mask = self.utilities.mask
        if array.shape != (*mask.shape, mask.shape[1]):
            raise DataError(
                f"Preferences of shape {array.shape} do not fit candidates of shape {mask.shape}.",
                fix="Give a square matrix for each prompt.",
            )
        both = mask[:, :, None] & mask[:, None, :]
        array = np.where(both, array, 0.5)
        wrong = ~((array >= 0) & (array <= 1) & (np.abs(array + array.transpose(0, 2, 1) - 1.0) <= SYMMETRY))
        if wrong.any():
            prompt, y, z = (int(i) for i in np.argwhere(wrong)[0])
            raise DataError(
                "Preferences are probabilities, and those of a pair and its reverse sum to 1.",
                where=f"prompt {self.utilities.prompts[prompt]!r}, candidates {y} and {z}: "
                f"{array[prompt, y, z]:.6g} and {array[prompt, z, y]:.6g}",
                fix="Count a tie half for each side.",
            )
        object.__setattr__(self, "preferences", frozen(array))

    @classmethod
    def from_utilities(cls, utilities: Utilities) -> PreferenceGame:
        r"""Bradley-Terry in each group: :math:`P = \sum_k s_k\,\sigma(r_{ky} - r_{kz})`.

        The mixture of groups may go in circles although no group does.

        Parameters
        ----------
        utilities : Utilities
            In a unit whose differences are logits: "raw", "gain" or "regret".
        """
        if utilities.unit not in LOGITS:
            raise UsageError(
                f"Differences of utilities in the unit {utilities.unit!r} are no logits of preference.",
                fix="Start from the raw rewards, or give the preferences themselves (from_groups, from_matrix).",
            )
        preferences = np.zeros((*utilities.log_reference.shape, utilities.log_reference.shape[1]))
        for share, values in zip(utilities.shares, np.moveaxis(utilities.values, 2, 0), strict=True):
            preferences += share * expit(values[:, :, None] - values[:, None, :])
        return cls(preferences, utilities)

    @classmethod
    def from_groups(
        cls,
        preferences: ArrayLike,
        *,
        shares: ArrayLike | None = None,
        log_reference: ArrayLike | None = None,
        groups: Sequence[Hashable] | None = None,
        prompts: Sequence[Hashable] | None = None,
    ) -> PreferenceGame:
        """A population of groups, each with preferences of its own: the mean by their shares.

        Parameters
        ----------
        preferences : array of shape (groups, candidates, candidates) or (groups, prompts, candidates, candidates)
        shares, log_reference, groups, prompts
            As of `Utilities`.
        """
        each = np.asarray(preferences, dtype=np.float64)
        each = each[:, None] if each.ndim == 3 else each
        if each.ndim != 4 or each.shape[2] != each.shape[3] or 0 in each.shape:
            raise DataError(
                f"Preferences of groups have no shape {np.shape(preferences)}.",
                fix="Give a square matrix for each group, or for each group and prompt.",
            )
        logs = normalised_log_reference(log_reference, (each.shape[1], each.shape[2]))
        there = logs > -np.inf
        each = np.where(there[:, :, None] & there[:, None, :], each, 0.5)
        values = np.stack([win_rates(matrix, logs) for matrix in each], axis=2)
        utilities = Utilities(values, logs, shares, unit="cdf", groups=groups, prompts=prompts)
        for group, matrix in zip(utilities.groups, each, strict=True):
            try:
                cls(matrix, utilities)
            except DataError as error:
                raise DataError(error.what, where=f"group {group!r}, {error.where}", fix=error.fix) from None
        return cls(np.einsum("k,kxyz->xyz", utilities.shares, each), utilities)

    @classmethod
    def from_matrix(
        cls, preferences: ArrayLike, *, reference: ArrayLike | None = None, log_reference: ArrayLike | None = None
    ) -> PreferenceGame:
        """Preferences of a whole population.

        Parameters
        ----------
        preferences : array of shape (candidates, candidates) or (prompts, candidates, candidates)
        reference : array of shape (candidates,) or (prompts, candidates), optional
            Probabilities; uniform by default. Or `log_reference`.
        """
        matrix = np.asarray(preferences, dtype=np.float64)
        if matrix.ndim not in (2, 3):
            raise DataError(
                f"Preferences have no shape {matrix.shape}.", fix="Give one square matrix, or one for each prompt."
            )
        if reference is not None:
            if log_reference is not None:
                raise UsageError("The reference is given twice.", fix="Give reference or log_reference.")
            with np.errstate(divide="ignore"):
                log_reference = np.log(np.asarray(reference, dtype=np.float64))
        logs = None if log_reference is None else np.atleast_2d(np.asarray(log_reference, dtype=np.float64))
        return cls.from_groups(matrix[None], log_reference=logs)

    @property
    def reference_policy(self) -> FinitePolicy:
        """The reference as a policy."""
        return FinitePolicy(self.utilities.log_reference, self.utilities, "reference")

    def win_rates(self, policy: FinitePolicy) -> Float[np.ndarray, "prompts candidates"]:
        """Probability that each candidate is preferred to a draw of a policy."""
        return win_rates(self.preferences, policy.log_probs)

    def exploitability(self, policy: FinitePolicy) -> Float[np.ndarray, " prompts"]:
        """What the best answer to a policy wins beyond 1/2, of each prompt: 0 at a Nash equilibrium, at most 1/2."""
        return exploitability(self.preferences, policy.log_probs, self.utilities.log_reference)

    def __repr__(self) -> str:
        n, candidates = self.utilities.log_reference.shape
        return (
            f"PreferenceGame({n:,} prompt{'s' * (n != 1)}, up to {candidates} candidates, "
            f"{self.utilities.n_groups} group{'s' * (self.utilities.n_groups != 1)})"
        )
