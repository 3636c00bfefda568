"""Questions with features: those that may be asked, and others by which a policy is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax, softmax

from pluralism.errors import DataError, UsageError
from pluralism.progress.item_texts import ItemTexts
from pluralism.random import RNG, as_generator

__all__ = ["ItemBank"]

RIDGE = 1e-6
NEWTON_STEPS = 50
TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class ItemBank:
    r"""Options as feature vectors.

    Whoever has values w chooses option k with a probability proportional to :math:`\exp(\beta\, \varphi_k \cdot w)`.

    Attributes
    ----------
    query : array of shape (prompts, 2, dim)
        Pairs that people can be asked about.
    evaluation : array of shape (items, candidates, dim)
        Questions by which policies are judged; none of their options occurs in `query`.
    sharpness : float
        :math:`\beta`, above 0.
    texts : ItemTexts, optional
        The words of the questions, for those who answer in words; left out, options have numbers.

    Raises
    ------
    DataError
        If an option occurs on both sides: what was asked would be scored; or texts do not fit the features.
    """

    query: Float[np.ndarray, "prompts 2 dim"]
    evaluation: Float[np.ndarray, "items candidates dim"]
    sharpness: float = 1.0
    texts: ItemTexts | None = None

    def __post_init__(self) -> None:
        query, evaluation = self.query, self.evaluation
        if query.ndim != 3 or query.shape[1] != 2 or evaluation.ndim != 3 or evaluation.shape[1] < 2:
            raise DataError(
                f"Query of shape {query.shape} or evaluation of shape {evaluation.shape} is not one of options.",
                fix="Give (prompts, 2, dim) and (items, candidates, dim), with at least two candidates.",
            )
        if query.shape[2] != evaluation.shape[2] or not self.sharpness > 0:
            raise DataError("The options differ in dimension, or the sharpness is not above 0.", fix="Correct them.")
        if not (np.isfinite(query).all() and np.isfinite(evaluation).all()):
            raise DataError("A feature of an option is not finite.", fix="Correct it, or leave the option out.")
        asked = {row.tobytes() for row in query.reshape(-1, self.dims)}
        both = [k for k, row in enumerate(evaluation.reshape(-1, self.dims)) if row.tobytes() in asked]
        if both:
            raise DataError(
                f"{len(both)} options to be judged by can also be asked about.",
                where=f"evaluation item {both[0] // evaluation.shape[1]}",
                fix="Split the questions before use: query and evaluation must not share options.",
            )
        if self.texts is not None:
            _check_texts(self.texts, query, evaluation)

    @classmethod
    def synthetic(
        cls,
        dims: int,
        *,
        n_query: int = 256,
        n_evaluation: int = 32,
        n_options: int = 4,
        sharpness: float = 1.0,
        rng: RNG = 0,
    ) -> ItemBank:
        """Options with standard normal features."""
        drawn = as_generator(rng, "items")
        query = drawn.standard_normal((n_query, 2, dims))
        return cls(query, drawn.standard_normal((n_evaluation, n_options, dims)), sharpness)

    @property
    def dims(self) -> int:
        """Dimensions."""
        return self.query.shape[2]

    @property
    def shape(self) -> tuple[int, int]:
        """Questions to be judged by, and their options: the shape of a policy."""
        return self.evaluation.shape[:2]

    @cached_property
    def words(self) -> ItemTexts:
        """The texts, or numbers in their place."""
        return self.texts or ItemTexts.numbered(len(self.query), *self.shape)

    @cached_property
    def asked_features(self) -> dict[str, Float[np.ndarray, " dim"]]:
        """Features of the texts that people can be asked about."""
        options = [text for _, *both in self.words.query for text in both]
        return dict(zip(options, self.query.reshape(-1, self.dims), strict=True))

    @cached_property
    def judged_options(self) -> frozenset[str]:
        """Texts that policies are judged by."""
        return frozenset(text for _, *options in self.words.evaluation for text in options)

    @property
    def centred(self) -> Float[np.ndarray, "items candidates dim"]:
        """Features less the mean over the options of a question."""
        return self.evaluation - self.evaluation.mean(axis=1, keepdims=True)

    def policy(self, values: Float[np.ndarray, "*batch dim"]) -> Float[np.ndarray, "*batch items candidates"]:
        """What whoever has these values chooses."""
        return softmax(self.sharpness * np.tensordot(values, self.evaluation, axes=(-1, -1)), axis=-1)

    def behaviour(self, policy: Float[np.ndarray, "*batch items candidates"]) -> Float[np.ndarray, "*batch dim"]:
        """Mean features of what is chosen, less those of a uniform choice: 0 for whoever does not care."""
        return np.tensordot(policy, self.centred, axes=2) / len(self.evaluation)

    def normalised(
        self, policy: Float[np.ndarray, "*batch items candidates"]
    ) -> Float[np.ndarray, "*batch items candidates"]:
        """Rows that sum to 1; a row of zeros is a uniform choice.

        Raises
        ------
        UsageError
            If something is negative or not a number.
        """
        if not (policy >= 0).all():
            raise UsageError("A policy has a negative entry, or one that is not a number.", fix="Clip it at 0.")
        total = policy.sum(axis=-1, keepdims=True)
        return np.where(total > 0, policy / np.where(total > 0, total, 1.0), 1.0 / policy.shape[-1])

    def implied_values(self, policy: Float[np.ndarray, "*batch items candidates"]) -> Float[np.ndarray, "*batch dim"]:
        """The values whose choices have the same mean features: the maximum-likelihood logit of the policy.

        A policy made from values gives them back, but for a ridge of 1e-6 that keeps the values of deterministic
        policies finite.
        """
        flat = policy.reshape(-1, *self.shape)
        wanted = self.behaviour(flat)
        features, n = self.centred, len(self.evaluation)
        values = np.zeros((len(flat), self.dims))

        def loss(at: Float[np.ndarray, "batch dim"]) -> Float[np.ndarray, " batch"]:
            logits = self.sharpness * np.tensordot(at, features, axes=(-1, -1))
            partition = (logits[..., 0] - log_softmax(logits, axis=-1)[..., 0]).mean(axis=-1)
            return partition / self.sharpness - (at * wanted).sum(axis=-1) + RIDGE / 2 * np.square(at).sum(axis=-1)

        now = loss(values)
        for _ in range(NEWTON_STEPS):
            chosen = softmax(self.sharpness * np.tensordot(values, features, axes=(-1, -1)), axis=-1)
            mean = np.einsum("bik,ikd->bid", chosen, features)
            gradient = mean.mean(axis=1) - wanted + RIDGE * values
            if np.abs(gradient).max(initial=0.0) < TOLERANCE:
                break
            curvature = np.einsum("bik,ikd,ike->bde", chosen, features, features, optimize=True)
            curvature = self.sharpness * (curvature - np.einsum("bid,bie->bde", mean, mean)) / n
            step = np.linalg.solve(curvature + RIDGE * np.eye(self.dims), gradient[..., None])[..., 0]
            size = np.ones(len(flat))
            moved = values - step
            then = loss(moved)
            while (worse := ~(then <= now) & (size > 1e-6)).any():
                size[worse] /= 2
                moved[worse] = values[worse] - size[worse, None] * step[worse]
                then = loss(moved)
            better = then <= now
            values = np.where(better[:, None], moved, values)
            now = np.where(better, then, now)
        return values.reshape(*policy.shape[:-2], self.dims)

    def __repr__(self) -> str:
        items, options = self.shape
        return (
            f"ItemBank({len(self.query)} pairs to ask about, {items} questions of {options} options, "
            f"{self.dims} dimensions)"
        )


def _check_texts(
    texts: ItemTexts,
    query: Float[np.ndarray, "prompts 2 dim"],
    evaluation: Float[np.ndarray, "items candidates dim"],
) -> None:
    counts = [[len(row) - 1 for row in rows] for rows in (texts.query, texts.evaluation)]
    if counts != [[2] * len(query), [evaluation.shape[1]] * len(evaluation)]:
        raise DataError("Texts and features differ in number.", fix="Give each question its prompt and all options.")
    meant: dict[str, bytes] = {}
    for (_, *both), rows in zip(texts.query, query, strict=True):
        for text, row in zip(both, rows, strict=True):
            if meant.setdefault(text, row.tobytes()) != row.tobytes():
                raise DataError(f"{text!r} has different features.", fix="Give one text one row of features.")
