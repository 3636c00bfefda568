"""Linear Bradley-Terry, 200k comparisons x 384: time to the optimum's held-out NLL + 1e-3, against two peers.

Peers: scikit-learn's lbfgs in float32 at its default tolerance, and minibatch Adam in torch (batch 512, lr 1e-2, the
best of a small grid), timed up to the first check at which it reaches the target. All have the comparisons' feature
differences built beforehand; ours starts from items and pairs.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from _synthetic import log_loss, synthetic
from _timing import compare, machine, markdown_table
from sklearn.linear_model import LogisticRegression

from pluralism.solvers import FeatureMatrix, PairProblem, Terms, fit_mixture

ROWS, RIDGE = 200_000, 1.0


def main() -> None:
    data = synthetic(rows=ROWS + 20_000)
    held = np.zeros(len(data.user), dtype=bool)
    held[np.random.default_rng(1).choice(len(held), 20_000, replace=False)] = True
    train, test = data.part(~held), data.part(held)
    x, x_test = train.differences(), test.differences()

    def ours(tol: float = 1e-6) -> np.ndarray:
        problem, _ = PairProblem.build(
            train.user,
            train.left,
            train.right,
            train.outcome,
            np.ones(len(train.user)),
            n_users=2000,
            n_items=len(train.features),
            features=FeatureMatrix(train.features),
        )
        return fit_mixture(problem, 1, Terms(ridge=RIDGE), rng=np.random.default_rng(0), tol=tol).parameters.heads[:, 0]

    target = log_loss(x_test @ ours(1e-10), test.outcome) + 1e-3

    def scikit_learn() -> np.ndarray:
        model = LogisticRegression(C=1 / RIDGE, fit_intercept=False).fit(x, train.outcome)
        return model.coef_[0]

    def adam(batch: int = 512, lr: float = 1e-2, limit: float = 20.0) -> np.ndarray:
        rng = np.random.default_rng(0)
        w = torch.zeros(x.shape[1], requires_grad=True)
        optimiser = torch.optim.Adam([w], lr=lr)
        features, outcome = torch.from_numpy(x), torch.from_numpy(train.outcome.astype(np.float32))
        started = time.perf_counter()
        while time.perf_counter() - started < limit:
            order = rng.permutation(len(x))
            for step, first in enumerate(range(0, len(x), batch)):
                rows = torch.from_numpy(order[first : first + batch])
                z = features[rows] @ w
                loss = torch.nn.functional.binary_cross_entropy_with_logits(z, outcome[rows])
                loss = loss + RIDGE / 2 / len(x) * (w @ w)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if step % 50 == 49 and log_loss(x_test @ w.detach().numpy(), test.outcome) <= target:
                    return w.detach().numpy()
        return w.detach().numpy()

    runs = {"pluralism": ours, "scikit-learn lbfgs": scikit_learn, "torch Adam, batch 512": adam}
    reached = {name: log_loss(x_test @ np.asarray(run()), test.outcome) - target + 1e-3 for name, run in runs.items()}
    seconds = compare(runs)
    gram = compare({"gram": lambda: x.T @ x})["gram"]
    rows = [[n, seconds[n], seconds[n] / seconds["pluralism"], f"{reached[n]:+.1e}"] for n in runs]
    print(markdown_table(["method", "seconds", "times ours", "held-out NLL above the optimum"], rows))
    print(f"\nOurs in units of one float32 X'X product ({gram:.3f} s): {seconds['pluralism'] / gram:.2f}")
    print(machine())


if __name__ == "__main__":
    main()
