"""Scores of texts by a fitted model: encoded in batches, each text once, remembered."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64

from pluralism.data import Items
from pluralism.embeddings import embed, resolve
from pluralism.embeddings.space import same_space
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.embeddings import EmbeddingCache, Encoder
    from pluralism.models.base import PreferenceModel

__all__ = ["TextScorer"]

_REMEMBERED = 2**24
"""Rewards that are kept: 128 MiB."""
_TEXTS = 2**18
"""Texts that are kept with them: some hundred MiB, whatever the number of columns."""


class TextScorer:
    """From prompts and responses to the rewards of a fitted model, by the frozen encoder that it was fitted on.

    Rewards are those that texts predict: what a model with item effects knows of single items of its data is left out,
    so that a response of the data and a new one are rewarded alike.

    Parameters
    ----------
    model : PreferenceModel
        Fitted on features.
    encoder : str, Encoder or callable
        See `pluralism.embeddings.resolve`.
    read : callable
        Of items with features: rewards of shape (items, columns).
    cache : EmbeddingCache or path, optional
        Where vectors are kept for later runs; see `pluralism.embeddings.embed`.

    Attributes
    ----------
    space : str
        Of the features.
    n_encoded : int
        Texts that were encoded so far, or found in the cache; those whose rewards are remembered are not counted again.

    Raises
    ------
    UsageError
        The model knows only items of its data, or was fitted on vectors of another encoder.
    """

    def __init__(
        self,
        model: PreferenceModel,
        encoder: str | Encoder | Callable[[list[str]], Any],
        read: Callable[[Items], np.ndarray],
        *,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
    ) -> None:
        model._check_fitted()
        self.model, self.encoder = model, resolve(encoder)
        self.read, self._cache = read, cache
        self.n_encoded = 0
        self._known: dict[tuple[str, str], np.ndarray] = {}
        space: str | None = getattr(model, "feature_space_", None)
        if getattr(model, "dim_", None) is None:
            raise UsageError(
                f"This {type(model).__name__} has no features: it knows the items of its data, and no new text.",
                fix="Fit it to comparisons with .embed(encoder).",
            )
        if space is not None and not same_space(space, self.encoder.space):
            raise UsageError(
                f"The model was fitted on the space {space!r}, and {self.encoder.name} gives {self.encoder.space!r}.",
                fix="Pass the encoder of the fit, with its revision, pooling and length.",
            )
        self.space = space or self.encoder.space

    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> Float64[np.ndarray, "rows columns"]:
        """Rewards of responses, one row each, in the order given.

        Raises
        ------
        UsageError
            There are no responses, or not as many as prompts.
        """
        if isinstance(prompts, str) or isinstance(responses, str) or len(prompts) != len(responses) or not len(prompts):
            raise UsageError("Rewards are of lists of prompts and responses.", fix="Pass one prompt for each response.")
        pairs = list(zip(prompts, responses, strict=True))
        wrong = [text for pair in pairs for text in pair if not isinstance(text, str)]
        if wrong:
            raise UsageError(f"Rewards are of texts, not of {type(wrong[0]).__name__}.", fix="Pass lists of str.")
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        fresh = dict(zip(new, self._score(new), strict=True)) if new else {}
        found = np.stack([fresh[pair] if pair in fresh else self._known[pair] for pair in pairs])
        self._remember(fresh)
        return found

    def items(self, pairs: Sequence[tuple[str, str]]) -> Items:
        """Items with features of distinct pairs of prompt and response.

        A response may be empty: a policy may write nothing, and the encoder then reads the prompt alone. No item is one
        of the model's data, so effects of items, which new texts do not have, count for none.
        """
        asked, said = (pa.array(list(column), pa.large_string()) for column in zip(*pairs, strict=True))
        items = Items.of_distinct(said, asked)
        mark, between = (pa.scalar(text, pa.large_string()) for text in ("new text", " "))
        items = items._replace(ids=pc.binary_join_element_wise(mark, items.ids, between))
        features = embed(items.encoded_texts(), self.encoder, cache=self._cache).features
        items = items.with_features(features, self.space)
        if getattr(self.model, "prompt_source_", None) == "given":
            distinct = list(dict.fromkeys(prompt for prompt, _ in pairs))
            items = items.with_prompt_features(embed(distinct, self.encoder, cache=self._cache).features)
        return items

    def _score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        self.n_encoded += len(pairs)
        return np.asarray(self.read(self.items(pairs)), dtype=np.float64)

    def _remember(self, fresh: dict[tuple[str, str], np.ndarray]) -> None:
        self._known.update(fresh)
        most = min(_TEXTS, _REMEMBERED // next((max(1, len(row)) for row in fresh.values()), 1))
        # The oldest are forgotten first: trainers and decoders ask again soon or never.
        for pair in list(islice(self._known, max(0, len(self._known) - most))):
            del self._known[pair]
