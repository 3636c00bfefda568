"""Placing 100,000 new users with ten answers each on four prototypes: best weights, and their posterior."""

from __future__ import annotations

import numpy as np
from _timing import compare, machine, markdown_table

from pluralism.solvers import PairProblem
from pluralism.solvers.simplex_users import place_users, user_posterior

USERS, ANSWERS, ITEMS, GROUPS = 100_000, 10, 20_000, 4


def main() -> None:
    rng = np.random.default_rng(9)
    table = 2.0 * rng.normal(size=(ITEMS, GROUPS))
    alpha = np.full(GROUPS, 0.5)
    weights = rng.dirichlet(alpha, size=USERS)
    user = np.repeat(np.arange(USERS), ANSWERS)
    left = rng.integers(ITEMS, size=len(user))
    right = (left + 1 + rng.integers(ITEMS - 1, size=len(user))) % ITEMS
    z = np.einsum("nk,nk->n", table[left] - table[right], weights[user])
    outcome = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)
    problem, _ = PairProblem.build(user, left, right, outcome, np.ones(len(z)), n_users=USERS, n_items=ITEMS)
    seconds = compare(
        {
            "best weights (Newton)": lambda: place_users(problem, table, alpha, gradient=False),
            "posterior mean and covariance (256 draws)": lambda: user_posterior(problem, table, alpha),
        }
    )
    rows = [[name, value, f"{USERS / value:,.0f}"] for name, value in seconds.items()]
    print(markdown_table(["what", "seconds", "users a second"], rows))
    ess = user_posterior(problem, table, alpha).ess
    print(f"\nEffective draws: median {np.median(ess):.0f}, least {ess.min():.0f}")
    print(machine())


if __name__ == "__main__":
    main()
