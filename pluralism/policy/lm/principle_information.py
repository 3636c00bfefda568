"""How much a model's responses say about the principles it was told: an evaluator that needs no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.sami_loss import column_bound, row_bound
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["ConstitutionMI", "constitution_mi", "score_matrices"]


@dataclass(frozen=True, eq=False, repr=False)
class ConstitutionMI:
    """Bounds of the mutual information between principles and responses, in nats.

    Attributes
    ----------
    names : tuple of str
        Of the principles.
    value, low, high : float
        What a response says about its principle, a lower bound of the mutual information (`column_bound`): mean over
        prompts and its bootstrap interval (NaN with one prompt).
    by_principle : float
        The other form of the loss, which response is a principle's (`row_bound`); it can come out above the mutual
        information.
    told : array of shape (principles, principles)
        Share of the responses under each principle (rows) that are likeliest under each (columns).
    recognised, recognised_low, recognised_high : float
        Share of responses that are likeliest under their own principle; 1 / principles by chance.
    n_prompts, n_samples : int
    """

    names: tuple[str, ...]
    value: float
    low: float
    high: float
    by_principle: float
    told: Float[np.ndarray, "principles principles"]
    recognised: float
    recognised_low: float
    recognised_high: float
    n_prompts: int
    n_samples: int

    @property
    def most(self) -> float:
        """What perfect heed would give: the logarithm of the number of principles."""
        return float(np.log(len(self.names)))

    def to_frame(self) -> pa.Table:
        """One row a principle: `principle, recognised`, and `taken_for_*`, the share taken for each principle."""
        import pyarrow as pa

        columns: dict[str, Any] = {"principle": list(self.names), "recognised": np.diag(self.told)}
        columns |= {f"taken_for_{name}": self.told[:, k] for k, name in enumerate(self.names)}
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """All fields and the rows of `to_frame`, as JSON."""
        document = {
            "mutual_information": self.value,
            "interval": [self.low, self.high],
            "by_principle": self.by_principle,
            "most": self.most,
            "recognised": self.recognised,
            "recognised_interval": [self.recognised_low, self.recognised_high],
            "prompts": self.n_prompts,
            "samples": self.n_samples,
            "rows": self.to_frame().to_pylist(),
        }
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        table = format_table({"principle": list(self.names), "recognised": np.diag(self.told).tolist()}, digits=3)
        return (
            f"{self.value:.3f} nats ({self.low:.3f} to {self.high:.3f}) of at most {self.most:.3f}; "
            f"{self.recognised:.1%} of responses recognised\n{table}"
        )


def constitution_mi(
    model: LanguageModel,
    prompts: Sequence[str],
    constitutions: dict[str, str],
    *,
    samples: int = 1,
    max_tokens: int = 128,
    temperature: float = 1.0,
    length_normalised: bool = False,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> ConstitutionMI:
    r"""Draw a response under each principle, and ask the model under which principle it is likeliest.

    A model that does not heed principles gives 0, one whose responses give them away log n.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of str
    constitutions : dict of str to str
        The system message of each principle, such as the cards of a moral graph, by name; two at least.
    samples : int
        Responses to each prompt under each principle.
    max_tokens, temperature
        How responses are drawn.
    length_normalised : bool
        Compare mean log-probabilities of tokens, as SAMI's loss does, in place of those of whole responses. Whole ones
        give the exact posterior of the principle, and with it the mutual information itself.
    n_bootstrap, level, rng
        The interval is of draws of prompts.

    Raises
    ------
    UsageError
        Fewer than two principles, or a number that is not possible.

    References
    ----------
    J.-P. Fränken et al., arXiv:2404.14313; D. Barber and F. Agakov, NeurIPS 2003.
    """
    if len(constitutions) < 2 or len(set(constitutions.values())) < len(constitutions):
        raise UsageError("Two different principles are needed at least.", fix="Give each a system message of its own.")
    if not is_whole(samples) or not is_whole(n_bootstrap):
        raise UsageError(f"samples={samples!r}, n_bootstrap={n_bootstrap!r} are not possible.", fix="1 at least.")
    generator = as_generator(rng, "constitution mi")
    matrices = score_matrices(
        model,
        prompts,
        tuple(constitutions.values()),
        samples=samples,
        max_tokens=max_tokens,
        temperature=temperature,
        length_normalised=length_normalised,
        rng=generator,
    )
    by_prompt = column_bound(matrices).mean(axis=1)
    n = len(constitutions)
    taken = matrices.argmax(axis=2)
    told = np.stack([[(taken[:, :, i] == c).mean() for c in range(n)] for i in range(n)])
    right = (taken == np.arange(n)).mean(axis=(1, 2))
    low = high = right_low = right_high = float("nan")
    if len(by_prompt) > 1:
        drawn = generator.multinomial(len(by_prompt), np.full(len(by_prompt), 1 / len(by_prompt)), n_bootstrap)
        means = drawn @ np.stack([by_prompt, right], axis=1) / len(by_prompt)
        tail = [(1 - level) / 2, (1 + level) / 2]
        (low, right_low), (high, right_high) = np.quantile(means, tail, axis=0).tolist()
    return ConstitutionMI(
        tuple(constitutions),
        float(by_prompt.mean()),
        low,
        high,
        float(row_bound(matrices).mean()),
        told,
        float(right.mean()),
        right_low,
        right_high,
        len(by_prompt),
        samples,
    )


def score_matrices(
    model: LanguageModel,
    prompts: Sequence[str],
    systems: Sequence[str],
    *,
    samples: int,
    max_tokens: int,
    temperature: float,
    length_normalised: bool,
    rng: np.random.Generator,
) -> Float[np.ndarray, "prompts samples principles principles"]:
    """Log-probabilities of the response drawn under each principle (columns) under each (rows)."""
    asked = [prompt for prompt in prompts for _ in systems]
    told = list(systems) * len(prompts)
    drawn = model.generate(asked, n=samples, max_tokens=max_tokens, temperature=temperature, system=told, rng=rng)
    contexts = [[model.prompt_tokens(prompt, system=s) for s in systems] for prompt in prompts]
    n = len(systems)
    rows = [
        (contexts[k // n][c], tokens) for k, tokens in zip(drawn.prompt, drawn.tokens, strict=True) for c in range(n)
    ]
    scored = model.token_log_probs([row[0] for row in rows], [row[1] for row in rows])
    values = scored.mean if length_normalised else scored.total
    # drawn by prompt, then principle, then sample; scored under each principle in turn
    return values.reshape(len(prompts), n, samples, n).transpose(0, 2, 3, 1).copy()
