"""A direction in the activations of a layer that leads from answers a group rejects to answers it chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64

from pluralism.data.arrays import frozen
from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.files import load_arrays, save_arrays
from pluralism.policy.lm.conditioning.layers import changed_layer, layer_at, mean_activations

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["SteeringVector"]

_SCHEMA = 1


@dataclass(frozen=True, eq=False, repr=False)
class SteeringVector:
    """What is added to the activations of one layer.

    Attributes
    ----------
    vector : array of shape (dim,)
        In the units of the activations: at strength 1 the answers move by the mean difference of the pairs.
    layer : int
        From 0.
    method : str
        How it was found.
    model : str
        Name of the model whose activations they are; those of other models mean something else.
    n_pairs : int
    attributions : array of shape (dim,), optional
        What each dimension of the mean difference adds to the log-probability margin of the chosen answers; see
        `attributed`.
    """

    vector: Float64[np.ndarray, " dim"]
    layer: int
    method: str
    model: str
    n_pairs: int
    attributions: Float64[np.ndarray, " dim"] | None = None

    def __post_init__(self) -> None:
        for name in ("vector", "attributions"):
            value = getattr(self, name)
            if value is None and name == "attributions":
                continue
            array = np.array(value, dtype=np.float64)
            if array.ndim != 1 or not len(array) or not np.isfinite(array).all() or len(array) != len(self.vector):
                raise DataError(
                    f"The {name} of shape {array.shape} of a steering vector cannot be used.",
                    fix="Give finite numbers.",
                )
            object.__setattr__(self, name, frozen(array))

    @classmethod
    def from_pairs(
        cls,
        model: LanguageModel,
        prompts: Sequence[str],
        chosen: Sequence[str],
        rejected: Sequence[str],
        *,
        layer: int | None = None,
        system: str | None = None,
    ) -> SteeringVector:
        """Mean difference: of the activations of chosen and of rejected answers, averaged over their tokens.

        Parameters
        ----------
        model : LanguageModel
        prompts, chosen, rejected : sequences of str
            A group's pairs.
        layer : int, optional
            From 0, or from the last where negative; left out, the middle one.
        system : str, optional
            A system message before each prompt.

        Raises
        ------
        UsageError
            Lengths differ, there is no pair or layer, or an answer is empty.

        References
        ----------
        N. Rimsky et al., "Steering Llama 2 via contrastive activation addition", arXiv:2312.06681.
        """
        pairs = pair_tokens(model, prompts, chosen, rejected, system)
        asked, liked, disliked = pairs
        n = model.network.config.get_text_config().num_hidden_layers
        _, place = layer_at(model.network, (n - 1) // 2 if layer is None else layer)
        found = mean_activations(model, [*asked, *asked], [*liked, *disliked], place)
        difference = (found[: len(asked)] - found[len(asked) :]).mean(axis=0)
        return cls(difference, place, "mean difference", model.name, len(asked))

    @contextmanager
    def applied(self, model: LanguageModel, strength: float = 1.0, *, keep_norm: bool = False) -> Iterator[None]:
        """Within the context the model is steered; afterwards it is exactly as it was.

        Parameters
        ----------
        model : LanguageModel
        strength : float
            What the vector is multiplied by; negative steers away.
        keep_norm : bool
            Whether steered activations are scaled back to their length, so that a large strength turns them and does
            not blow them up.

        Raises
        ------
        UsageError
            The vector has not the width of the model, or the strength is not finite.
        """
        width = model.network.config.get_text_config().hidden_size
        if len(self.vector) != width or not np.isfinite(strength):
            raise UsageError(
                f"A vector of {len(self.vector)} dimensions cannot steer a model of {width} by {strength!r}.",
                fix="Make the vector with this model, and use a finite strength.",
            )
        added = torch.tensor(strength * self.vector, device=model.device, dtype=torch.float32)

        def steer(hidden: Tensor) -> Tensor:
            return steered(hidden, added, keep_norm=keep_norm)

        with changed_layer(model.network, self.layer, steer):
            yield

    def __mul__(self, factor: float) -> SteeringVector:
        return replace(self, vector=self.vector * float(factor), attributions=None)

    __rmul__ = __mul__

    def save(self, path: str | Path) -> Path:
        """Write it to a safetensors file."""
        arrays = {"vector": self.vector}
        if self.attributions is not None:
            arrays["attributions"] = self.attributions
        facts = {"layer": self.layer, "method": self.method, "model": self.model, "n_pairs": self.n_pairs}
        save_arrays(path, arrays, {"kind": "steering vector", "schema": str(_SCHEMA), "facts": json.dumps(facts)})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> SteeringVector:
        """Inverse of `save`.

        Raises
        ------
        ModelFileError
            The file holds no steering vector, or one of another schema.
        """
        arrays, metadata = load_arrays(path)
        try:
            if metadata.get("kind") != "steering vector" or metadata.get("schema") != str(_SCHEMA):
                raise KeyError(f"kind {metadata.get('kind')!r} of schema {metadata.get('schema')!r}")
            facts: dict[str, Any] = json.loads(metadata["facts"])
            return cls(
                arrays["vector"],
                int(facts["layer"]),
                str(facts["method"]),
                str(facts["model"]),
                int(facts["n_pairs"]),
                arrays.get("attributions"),
            )
        except (KeyError, ValueError, TypeError) as cause:
            raise ModelFileError(
                f"The file holds no steering vector: {cause}.", where=str(path), fix="Save it again with this version."
            ) from cause

    def to_frame(self) -> pa.Table:
        """One row a dimension: `dimension, value`, and `attribution` where there are attributions."""
        import pyarrow as pa

        columns: dict[str, Any] = {"dimension": np.arange(len(self.vector)), "value": self.vector}
        if self.attributions is not None:
            columns["attribution"] = self.attributions
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """The fields by name, as JSON."""
        document = {
            "layer": self.layer,
            "method": self.method,
            "model": self.model,
            "n_pairs": self.n_pairs,
            "vector": self.vector.tolist(),
            "attributions": None if self.attributions is None else self.attributions.tolist(),
        }
        return json.dumps(document, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        kept = int(np.count_nonzero(self.vector))
        return (
            f"SteeringVector({self.method}, layer {self.layer} of {self.model}, {kept} of {len(self.vector)} "
            f"dimensions, length {np.linalg.norm(self.vector):.3g}, {self.n_pairs} pairs)"
        )


def steered(hidden: Tensor, added: Tensor, *, keep_norm: bool = False) -> Tensor:
    """Activations with a vector added, in their own number format."""
    moved = hidden.float() + added.to(hidden.device)
    if keep_norm:
        moved = moved * (hidden.float().norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return moved.to(hidden.dtype)


def pair_tokens(
    model: LanguageModel,
    prompts: Sequence[str],
    chosen: Sequence[str],
    rejected: Sequence[str],
    system: str | None,
) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Tokens of contrastive pairs, without the ends of the answers: how they end is not what they say.

    Raises
    ------
    UsageError
        Lengths differ, there is no pair, or an answer is empty.
    """
    if any(isinstance(column, str) or len(column) != len(prompts) for column in (prompts, chosen, rejected)):
        raise UsageError(
            "There are not as many chosen and rejected answers as prompts.", fix="Give lists of one length."
        )
    asked = [model.prompt_tokens(prompt, system=system) for prompt in prompts]
    liked = [model.response_tokens(response, end=False) for response in chosen]
    disliked = [model.response_tokens(response, end=False) for response in rejected]
    if not asked or not all(liked) or not all(disliked):
        raise UsageError("There is no pair, or an answer is empty.", fix="Give pairs of answers with text in them.")
    for k, prompt in enumerate(asked):
        model.check_length(len(prompt) + max(len(liked[k]), len(disliked[k])), k)
    return asked, liked, disliked
