"""Placing 100,000 new users with ten answers each among 8 groups, in units of streaming reads of the data.

The data are the answers' embeddings: a million difference vectors of 384 float32. A streaming read is `X.sum()`.
"""

from __future__ import annotations

import numpy as np
from _synthetic import synthetic
from _timing import compare, machine, markdown_table
from scipy.special import softmax

from pluralism.solvers import FeatureMatrix, PairProblem, group_log_likelihood

USERS, ANSWERS, GROUPS = 100_000, 10, 8


def main() -> None:
    data = synthetic(rows=USERS * ANSWERS, items=250_000, users=USERS, groups=GROUPS)
    problem, _ = PairProblem.build(
        data.user,
        data.left,
        data.right,
        data.outcome,
        np.ones(len(data.user)),
        n_users=USERS,
        n_items=len(data.features),
        features=FeatureMatrix(data.features),
    )
    prior = np.full(GROUPS, -np.log(GROUPS))
    x = data.differences()

    def place() -> np.ndarray:
        scores = problem.features.matmul(data.heads)
        return softmax(group_log_likelihood(problem, scores, np.zeros((0, GROUPS))) + prior, axis=1)

    def reads() -> float:
        return sum(float(x.sum()) for _ in range(10))

    share = float(np.mean(place().argmax(axis=1) == data.group))
    seconds = compare({"placing": place, "ten reads": reads})
    rows = [[name, value, value / seconds["ten reads"]] for name, value in seconds.items()]
    print(markdown_table(["what", "seconds", "in units of ten reads"], rows))
    print(f"\n{USERS / seconds['placing']:,.0f} users a second; {share:.1%} placed in their true group")
    print(machine())


if __name__ == "__main__":
    main()
