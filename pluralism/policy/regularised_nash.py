"""The Nash equilibrium of preferences with a price for KL from the reference."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from pluralism.errors import ConvergenceWarning, UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta
from pluralism.policy.preference_game import PreferenceGame
from pluralism.solvers.preference_games import regularised_nash as solve

__all__ = ["regularised_nash"]

TOLERANCE = 1e-6
GAPS = {"extragradient": 1e-10, "nash_md": 1e-7}
"""At which gap to stop: the published steps take ten times as long for each further figure."""


def regularised_nash(
    game: PreferenceGame,
    *,
    beta: float,
    method: Literal["extragradient", "nash_md"] = "extragradient",
    max_iter: int = 20_000,
) -> FinitePolicy:
    r"""The policy that no other beats in the game :math:`\Pr(q \succ q') - \beta KL(q\|p) + \beta KL(q'\|p)`.

    It is the only fixed point of :math:`q \propto p\,e^{Pq/\beta}`, found by mirror descent whose last iterate
    converges.

    Parameters
    ----------
    game : PreferenceGame
    beta : float
        Price of a nat of KL in units of win probability, above 0. As it falls, the policy nears a Nash equilibrium of
        the preferences themselves: its exploitability there is at most beta times the largest log 1/p.
    method : {"extragradient", "nash_md"}
        "extragradient" converges at a geometric rate. "nash_md" is the published algorithm for language models, whose
        step answers a mixture of policy and reference, with steps that fall as 1/t.
    max_iter : int

    Returns
    -------
    FinitePolicy
        The certificate's gap is what the best answer wins beyond the value 1/2 in the regularised game. For the game
        without the price, ask `game.exploitability(policy)`.

    References
    ----------
    R. Munos et al., "Nash learning from human feedback", arXiv:2312.00886.

    Examples
    --------
    >>> stone_scissors_paper = [[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]
    >>> game = PreferenceGame.from_matrix(stone_scissors_paper, reference=[0.6, 0.3, 0.1])
    >>> regularised_nash(game, beta=0.01).probs.round(2)
    array([[0.34, 0.32, 0.34]])
    """
    beta = check_beta(beta, positive=True)
    if method not in GAPS:
        raise UsageError(f"method={method!r} is not possible.", fix='It is "extragradient" or "nash_md".')
    found = solve(
        game.preferences, game.utilities.log_reference, beta, method=method, tol=GAPS[method], max_iter=max_iter
    )
    gap = float(found.gap.max())
    if gap > TOLERANCE:
        warnings.warn(
            f"After {found.n_iter:,} steps an answer still wins {gap:.2g} beyond 1/2.", ConvergenceWarning, stacklevel=2
        )
    certificate = Certificate(
        "max_q min_q' Pr(q beats q') - beta KL(q||p) + beta KL(q'||p)",
        0.5 - found.gap,
        np.full(len(found.gap), 0.5),
        stationarity=float(found.residual.max()),
    )
    return FinitePolicy(found.log_policy, game.utilities, f"regularised nash ({method}), beta={beta:g}", certificate)
