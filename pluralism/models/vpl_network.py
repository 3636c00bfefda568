"""The network of an amortised encoder: answers to a Gaussian place, and an item with a place to a reward.

All layers that read items are linear in them first, so they cost one product an item instead of one an answer.
Randomness in training (which answers are seen, the draw of a place, who is held out) is a function of what people
answered and of the seed, never of the order of rows or of names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

if TYPE_CHECKING:
    import torch

__all__ = ["Answers", "Schedule", "Trained", "encode", "initial_weights", "rewards", "train"]

Weights = dict[str, Any]
CLAMP = 8.0
EVALUATE_EVERY = 5
EXACT_ROWS = 20_000
WORTH_KEEPING = 1e-3


@dataclass(frozen=True)
class Answers:
    """Comparisons as the network sees them: scaled items (items, dim), and by row codes, signed answer and weight."""

    items: Float[np.ndarray, "items dim"]
    user: Int[np.ndarray, " pairs"]
    left: Int[np.ndarray, " pairs"]
    right: Int[np.ndarray, " pairs"]
    outcome: Float[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]
    n_users: int

    def take(self, rows: np.ndarray) -> Answers:
        """Some of the rows."""
        return Answers(
            self.items,
            self.user[rows],
            self.left[rows],
            self.right[rows],
            self.outcome[rows],
            self.weight[rows],
            self.n_users,
        )


@dataclass(frozen=True)
class Schedule:
    """How training goes: epochs, the epochs without improvement after which it stops, step length, penalties."""

    max_epochs: int
    patience: int
    learning_rate: float
    beta: float
    warm_up: int
    weight_decay: float
    held_out: float


@dataclass(frozen=True)
class Trained:
    """The weights kept, the epoch they are of, the loss there, and whether training stopped of its own accord."""

    weights: dict[str, np.ndarray]
    epoch: int
    objective: float
    gradient_norm: float
    converged: bool
    held_out: list[tuple[int, float]]


def initial_weights(dim: int, hidden: int, factors: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scaled Gaussian layers; the last one of the reward is zero, so that training begins without a preference."""

    def layer(n: int, m: int, gain: float = 1.0) -> np.ndarray:
        return gain * rng.normal(size=(n, m)) / np.sqrt(n)

    return {
        "encoder_difference_": layer(dim, hidden),
        "encoder_mean_": layer(dim, hidden, 0.5),
        "encoder_bias_": np.zeros(hidden),
        "encoder_hidden_": layer(hidden, hidden, 1.5),
        "encoder_hidden_bias_": np.zeros(hidden),
        "attention_": np.zeros(hidden),
        "place_hidden_": layer(hidden + 1, hidden, 1.5),
        "place_bias_": np.zeros(hidden),
        "place_mean_": layer(hidden, factors),
        "place_mean_bias_": np.zeros(factors),
        "place_spread_": layer(hidden, factors, 0.1),
        "place_spread_bias_": np.full(factors, -1.0),
        "reward_item_": layer(dim, hidden),
        "reward_place_": layer(factors, hidden),
        "reward_bias_": np.zeros(hidden),
        "reward_hidden_": layer(hidden, hidden, 1.5),
        "reward_hidden_bias_": np.zeros(hidden),
        "reward_out_": np.zeros(hidden),
    }


def encode(
    weights: Mapping[str, np.ndarray], answers: Answers
) -> tuple[Float[np.ndarray, "users factors"], Float[np.ndarray, "users factors"]]:
    """Mean and variance of each user's place; the prior, 0 and 1, for users without answers."""
    import torch

    with _suitable_threads(len(answers.user)), torch.no_grad():
        mean, log_variance, n = _encode(_tensors(weights, np.float64), _Rows(answers, np.float64))
    known = n.numpy()[:, None] > 0
    return np.where(known, mean.numpy(), 0.0), np.where(known, np.exp(log_variance.numpy()), 1.0)


def rewards(
    weights: Mapping[str, np.ndarray],
    items: Float[np.ndarray, "rows dim"],
    places: Float[np.ndarray, "rows factors"],
) -> Float[np.ndarray, " rows"]:
    """Reward of each item at each place, row by row."""
    import torch

    with _suitable_threads(len(items)), torch.no_grad():
        w = _tensors(weights, np.float64)
        by_item = torch.from_numpy(np.ascontiguousarray(items, dtype=np.float64)) @ w["reward_item_"]
        found: np.ndarray = _reward(
            w, by_item, torch.from_numpy(np.ascontiguousarray(places, dtype=np.float64))
        ).numpy()
    return found


def train(
    answers: Answers,
    weights: Mapping[str, np.ndarray],
    schedule: Schedule,
    attention: bool,
    rng: np.random.Generator,
    tell: Callable[[int, float], None],
) -> Trained:
    """Maximise the ELBO by Adam on all rows; stop when people held out are predicted no better.

    Each epoch encodes a share of everybody's answers, and scores all of them. Held-out people are placed by half of
    their answers, and the other half is scored.
    """
    with _suitable_threads(len(answers.user)):
        return _train(answers, weights, schedule, attention, rng, tell)


def _train(
    answers: Answers,
    weights: Mapping[str, np.ndarray],
    schedule: Schedule,
    attention: bool,
    rng: np.random.Generator,
    tell: Callable[[int, float], None],
) -> Trained:
    import torch

    dtype = np.float64 if len(answers.user) <= EXACT_ROWS else np.float32
    w = {name: value.requires_grad_() for name, value in _tensors(weights, dtype).items()}
    key = _row_key(answers, rng)
    mass = np.maximum(np.bincount(answers.user, answers.weight, answers.n_users), 1e-12)
    mean_key = np.bincount(answers.user, answers.weight * key, answers.n_users) / mass
    people = mean_key / max(float(mean_key.std()), 1e-12)
    held = _held_out_people(answers, people, schedule.held_out, rng)
    rows = ~held[answers.user]
    part, part_key = answers.take(rows), key[rows]
    targets = _Rows(part, dtype)
    early = _share(key, 0.5, rng)
    support = _Rows(answers.take(~rows & early), dtype)
    query = answers.take(~rows & ~early)
    scored = _Rows(query, dtype) if held.any() and query.weight.sum() > 0 else None
    free = [value for name, value in w.items() if attention or name != "attention_"]
    optimiser = torch.optim.Adam(free, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, eps=1e-5)
    # before the first epoch every prediction is even
    best, kept, path = (float(np.log(2.0)), 0), _arrays(w), []
    losses: list[float] = []
    stopped = scored is None
    epoch = 0
    for epoch in range(1, schedule.max_epochs + 1):
        seen = _share(part_key, float(rng.choice([0.25, 0.5, 0.75, 1.0])), rng)
        noise = _noise(people, w["reward_place_"].shape[0], rng).astype(dtype)
        beta = schedule.beta * min(1.0, epoch / max(schedule.warm_up, 1))
        optimiser.zero_grad()
        loss = _negative_elbo(w, targets, torch.from_numpy(seen.astype(dtype)), torch.from_numpy(noise), beta)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if scored is None:
            continue
        if epoch % EVALUATE_EVERY == 0:
            with torch.no_grad():
                mean, _, n = _encode(w, support)
                mean = torch.where(n[:, None] > 0, mean, torch.zeros_like(mean))
                value = float(_loss(w, scored, mean) / scored.total)
            path.append((epoch, value))
            tell(epoch, value)
            if value < best[0] - WORTH_KEEPING:
                best, kept = (value, epoch), _arrays(w)
            elif epoch - best[1] >= schedule.patience and epoch > schedule.warm_up:
                stopped = True
                break
    if scored is None:
        kept, best = _arrays(w), (losses[-1], epoch)
    norm = _gradient_norm(
        kept, targets, schedule.beta, np.zeros((answers.n_users, len(kept["place_mean_bias_"]))), dtype
    )
    return Trained(kept, best[1], best[0], norm, stopped, path)


@contextmanager
def _suitable_threads(rows: int) -> Iterator[None]:
    """Hold torch to one thread for few rows: threads that wait for each other cost more than the arithmetic."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if rows <= EXACT_ROWS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Rows:
    """Answers as tensors."""

    def __init__(self, answers: Answers, dtype: type) -> None:
        import torch

        def tensor(values: np.ndarray, kind: type) -> torch.Tensor:
            return torch.from_numpy(np.array(values, dtype=kind))

        self.items = tensor(answers.items, dtype)
        self.user, self.left, self.right = (
            tensor(values, np.int64) for values in (answers.user, answers.left, answers.right)
        )
        self.outcome, self.weight = tensor(answers.outcome, dtype), tensor(answers.weight, dtype)
        self.sign = 2.0 * self.outcome - 1.0
        self.n_users = answers.n_users
        self.total = max(float(answers.weight.sum()), 1e-12)


def _encode(w: Weights, rows: _Rows, seen: Any = None) -> tuple[Any, Any, Any]:
    """Means, log variances and the weight behind them, of all users."""
    import torch
    from torch.nn.functional import silu

    difference, middle = rows.items @ w["encoder_difference_"], rows.items @ w["encoder_mean_"]
    sign = rows.sign[:, None]
    pair = sign * (difference[rows.left] - difference[rows.right])
    pair = pair + 0.5 * sign.abs() * (middle[rows.left] + middle[rows.right]) + w["encoder_bias_"]
    pair = silu(silu(pair) @ w["encoder_hidden_"] + w["encoder_hidden_bias_"])
    weight = rows.weight if seen is None else rows.weight * seen
    share = weight * torch.exp(CLAMP * torch.tanh(pair @ w["attention_"] / CLAMP))
    zero = torch.zeros(rows.n_users, dtype=pair.dtype)
    mass = zero.index_add(0, rows.user, share)
    n = zero.index_add(0, rows.user, weight)
    pooled = torch.zeros(rows.n_users, pair.shape[1], dtype=pair.dtype).index_add(0, rows.user, share[:, None] * pair)
    pooled = torch.cat([pooled / mass.clamp_min(1e-12)[:, None], torch.log1p(n)[:, None]], dim=1)
    place = silu(pooled @ w["place_hidden_"] + w["place_bias_"])
    mean = place @ w["place_mean_"] + w["place_mean_bias_"]
    spread = place @ w["place_spread_"] + w["place_spread_bias_"]
    return mean, CLAMP * torch.tanh(spread / CLAMP), n


def _reward(w: Weights, by_item: Any, places: Any) -> Any:
    from torch.nn.functional import silu

    first = silu(by_item + places @ w["reward_place_"] + w["reward_bias_"])
    return silu(first @ w["reward_hidden_"] + w["reward_hidden_bias_"]) @ w["reward_out_"]


def _loss(w: Weights, rows: _Rows, places: Any) -> Any:
    """Weighted NLL of rows with their users at the given places."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    by_item, own = rows.items @ w["reward_item_"], places[rows.user]
    z = _reward(w, by_item[rows.left], own) - _reward(w, by_item[rows.right], own)
    return binary_cross_entropy_with_logits(z, rows.outcome, rows.weight, reduction="sum")


def _negative_elbo(w: Weights, rows: _Rows, seen: Any, noise: Any, beta: float) -> Any:
    """Nats an answer; people of whom nothing is seen have the prior, whose divergence is 0."""
    import torch

    mean, log_variance, n = _encode(w, rows, seen)
    known = (n > 0)[:, None].to(mean.dtype)
    mean, log_variance = known * mean, known * log_variance
    places = mean + torch.exp(0.5 * log_variance) * noise
    divergence = 0.5 * (mean**2 + torch.exp(log_variance) - 1.0 - log_variance).sum()
    return (_loss(w, rows, places) + beta * divergence) / rows.total


def _gradient_norm(kept: dict[str, np.ndarray], rows: _Rows, beta: float, noise: np.ndarray, dtype: type) -> float:
    import torch

    w = {name: value.requires_grad_() for name, value in _tensors(kept, dtype).items()}
    seen = torch.ones(len(rows.user), dtype=rows.weight.dtype)
    _negative_elbo(w, rows, seen, torch.from_numpy(noise.astype(dtype)), beta).backward()
    return float(np.sqrt(sum(float((value.grad**2).sum()) for value in w.values() if value.grad is not None)))


def _tensors(weights: Mapping[str, np.ndarray], dtype: type) -> Weights:
    import torch

    return {name: torch.from_numpy(np.array(value, dtype=dtype)) for name, value in weights.items()}


def _arrays(w: Weights) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().astype(np.float64) for name, value in w.items()}


def _row_key(answers: Answers, rng: np.random.Generator) -> Float[np.ndarray, " pairs"]:
    """A number of unit size that depends on who was preferred to whom, and on nothing else."""
    along = answers.items @ (rng.normal(size=answers.items.shape[1]) / np.sqrt(max(answers.items.shape[1], 1)))
    return (2.0 * answers.outcome - 1.0) * (along[answers.left] - along[answers.right])


def _share(key: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Mask of about this share of rows, by their keys."""
    mask: np.ndarray = np.mod(key * rng.uniform(2.0, 4.0) + rng.random(), 1.0) < share
    return mask


def _noise(people: np.ndarray, factors: int, rng: np.random.Generator) -> Float[np.ndarray, "users factors"]:
    """Standard normal draws for each person and factor, by the people's keys."""
    turned = np.mod(people[:, None] * rng.uniform(3.0, 9.0, size=factors) + rng.random(factors), 1.0)
    return ndtri(np.clip(turned, 0.005, 0.995))


def _held_out_people(answers: Answers, people: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Mask of the people that training does not see; nobody where they are too few to spare."""
    rows = np.bincount(answers.user, answers.weight > 0, answers.n_users)
    able = np.flatnonzero(rows >= 2)
    count = int(share * len(able))
    held = np.zeros(answers.n_users, dtype=bool)
    if count >= 2:
        turned = np.mod(people[able] * rng.uniform(3.0, 9.0), 1.0)
        held[able[np.argsort(turned, kind="stable")[:count]]] = True
    return held
