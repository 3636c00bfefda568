"""MaxMin with a price of KL: 100,000 prompts of 16 candidates and 8 groups, against cvxpy with Clarabel.

Every prompt is a problem of its own. The peer solves one parametrised problem (compiled once, DPP) for prompt after
prompt, as its users would; a share of the prompts tells its speed. Both reach gaps below 1e-6; ours are certified for
all prompts. The last rows are one problem over all prompts, and no price of KL at all, where HiGHS is the peer.
"""

from __future__ import annotations

import argparse

import cvxpy as cp
import numpy as np
from _timing import compare, machine, markdown_table

from pluralism.solvers.maxmin_lp import maxmin_lp_each
from pluralism.solvers.saddle import solve_saddle, solve_saddle_each
from pluralism.solvers.weight_sets import WeightSet

CANDIDATES, GROUPS = 16, 8


def clarabel(values: np.ndarray, log_reference: np.ndarray, beta: float) -> np.ndarray:
    """Optimal values by one problem with parameters; infinite or NaN where the solver gives up."""
    q, level = cp.Variable(CANDIDATES), cp.Variable()
    rewards, tilt = cp.Parameter((GROUPS, CANDIDATES)), cp.Parameter(CANDIDATES)
    objective = level + beta * cp.sum(cp.entr(q)) + tilt @ q
    problem = cp.Problem(cp.Maximize(objective), [rewards @ q >= level, cp.sum(q) == 1])
    found = np.empty(len(values))
    for x in range(len(values)):
        rewards.value, tilt.value = values[x].T, beta * log_reference[x]
        try:
            found[x] = problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError:
            found[x] = np.nan
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--peer-prompts", type=int, default=300)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    n, few = options.prompts, options.peer_prompts
    values = rng.normal(size=(n, CANDIDATES, GROUPS))
    log_reference = np.log(rng.dirichlet(np.ones(CANDIDATES), size=n))
    simplex = WeightSet.simplex(GROUPS)
    header = ["problem", "method", "prompts a second", "ratio", "largest gap", "largest difference of values"]
    rows = []
    for beta in (0.5, 1e-3):
        ours = solve_saddle_each(values, log_reference, simplex, beta=beta)
        peer = clarabel(values[:few], log_reference[:few], beta)
        seconds = compare(
            {
                "pluralism": lambda beta=beta: solve_saddle_each(values, log_reference, simplex, beta=beta),
                "cvxpy + Clarabel": lambda beta=beta: clarabel(values[:few], log_reference[:few], beta),
            }
        )
        speed, slow = n / seconds["pluralism"], few / seconds["cvxpy + Clarabel"]
        solved = np.isfinite(peer)
        apart = f"{np.abs(ours.value[:few] - peer)[solved].max():.1e}"
        if not solved.all():
            apart += f" (the peer fails on {few - solved.sum()} of {few})"
        rows.append([f"each prompt, beta={beta:g}", "pluralism", f"{speed:,.0f}", 1.0, f"{ours.gap.max():.1e}", apart])
        rows.append([f"each prompt, beta={beta:g}", "cvxpy + Clarabel", f"{slow:,.0f}", speed / slow, "", ""])
    joint = solve_saddle(values, log_reference, simplex, beta=0.5)
    together = compare({"joint": lambda: solve_saddle(values, log_reference, simplex, beta=0.5)}, repeats=3, warmup=0)
    rows.append(["all prompts, beta=0.5", "pluralism", f"{n / together['joint']:,.0f}", 1.0, f"{joint.gap[0]:.1e}", ""])
    part = values[:2000], log_reference[:2000]
    lp, middle = maxmin_lp_each(*part), solve_saddle_each(*part, simplex, beta=0.0)
    seconds = compare(
        {
            "pluralism": lambda: solve_saddle_each(*part, simplex, beta=0.0),
            "HiGHS": lambda: maxmin_lp_each(*part),
        },
        repeats=3,
    )
    speed, slow = 2000 / seconds["pluralism"], 2000 / seconds["HiGHS"]
    apart = f"{np.abs(lp.value - middle.value).max():.1e}"
    rows.append(["each prompt, beta=0", "pluralism", f"{speed:,.0f}", 1.0, f"{middle.gap.max():.1e}", apart])
    rows.append(
        ["each prompt, beta=0", "HiGHS, blocks of prompts", f"{slow:,.0f}", speed / slow, f"{lp.gap.max():.1e}", ""]
    )
    print(markdown_table(header, rows))
    print(machine())


if __name__ == "__main__":
    main()
