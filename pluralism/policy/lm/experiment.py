"""What conditioning did: who prefers what, who gains and who loses, how far each condition is from the reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration.text import format_table, json_ready
from pluralism.policy.lm.cross_scoring import CrossScores
from pluralism.policy.lm.experiment_cells import Responses
from pluralism.policy.lm.sampled_kl import MonteCarloKL, monte_carlo_kl
from pluralism.policy.lm.text_diversity import distinct_n, self_bleu

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["REFERENCE", "ConditioningExperiment", "ResponseFacts", "response_facts"]

REFERENCE = "reference"
"""The name of the model without conditioning."""


@dataclass(frozen=True)
class ResponseFacts:
    """The responses of one condition, apart from what anybody thinks of them.

    Attributes
    ----------
    condition : str
    kl : MonteCarloKL or None
        From the reference, where the log-probabilities of the policy are known.
    kl_bound : float or None
        What the KL is at most, in nats, where only that is known: of the best of n draws.
    n_tokens : float
        Mean length, the token that ends a response included.
    n_words : float
        Mean number of words.
    finished : float
        Share of responses that ended by themselves.
    distinct_2 : float
        Different pairs of words over all pairs, of the responses to a prompt; see `distinct_n`.
    self_bleu : float
        How much responses to a prompt repeat each other; see `self_bleu`. NaN with one response each.
    """

    condition: str
    kl: MonteCarloKL | None
    kl_bound: float | None
    n_tokens: float
    n_words: float
    finished: float
    distinct_2: float
    self_bleu: float

    @property
    def kl_known(self) -> float:
        """The estimated KL, else its bound, else NaN."""
        if self.kl is not None:
            return self.kl.value
        return float("nan") if self.kl_bound is None else self.kl_bound

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; `kl` as the fields of the estimate."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        return json_ready(document | {"kl": None if self.kl is None else vars(self.kl)})


@dataclass(frozen=True, eq=False, repr=False)
class ConditioningExperiment:
    """An experiment that `condition` ran.

    Attributes
    ----------
    prompts : tuple of str
    scores : CrossScores
        By judges that nothing was optimised for.
    facts : tuple of ResponseFacts
        Of the reference, then of each condition of `scores`.
    responses : mapping of str to Responses
        By condition; `REFERENCE` is the model without conditioning.
    judge : str
        Who judged, in words.
    notes : tuple of str
        What a reader must know.
    """

    prompts: tuple[str, ...]
    scores: CrossScores
    facts: tuple[ResponseFacts, ...]
    responses: Mapping[str, Responses]
    judge: str
    notes: tuple[str, ...] = ()

    def facts_of(self, condition: str) -> ResponseFacts:
        """The facts of one condition."""
        return next(facts for facts in self.facts if facts.condition == condition)

    def to_frame(self) -> pa.Table:
        """One row a condition: what its responses are like, and what they bring.

        Columns `condition, method, made_for, kl, kl_error, kl_bound, n_tokens, n_words, finished, distinct_2,
        self_bleu, mean, worst, worst_group`; the reference first.
        """
        import pyarrow as pa

        scores = self.scores
        rows: dict[str, list[Any]] = {
            "condition": [facts.condition for facts in self.facts],
            "method": [REFERENCE, *scores.methods],
            "made_for": [None, *(None if g < 0 else scores.groups[g] for g in scores.made_for)],
            "kl": [None if facts.kl is None else facts.kl.value for facts in self.facts],
            "kl_error": [None if facts.kl is None else facts.kl.standard_error for facts in self.facts],
        }
        for name in ("kl_bound", "n_tokens", "n_words", "finished", "distinct_2", "self_bleu"):
            rows[name] = [getattr(facts, name) for facts in self.facts]
        rows |= {
            "mean": [0.5, *scores.mean],
            "worst": [0.5, *scores.worst],
            "worst_group": [None, *scores.worst_group],
        }
        strings = {"condition", "method", "made_for", "worst_group"}
        return pa.table(
            {name: pa.array(values, pa.string() if name in strings else pa.float64()) for name, values in rows.items()}
        )

    def responses_frame(self) -> pa.Table:
        """One row a response: `condition, prompt, sample, text, n_tokens, finished, log_prob, reference_log_prob`."""
        import pyarrow as pa

        parts = []
        for name, found in self.responses.items():
            n = found.n_tokens.shape[1]
            parts.append(
                pa.table(
                    {
                        "condition": pa.array([name] * len(found.texts), pa.string()),
                        "prompt": [self.prompts[k] for k in found.prompt],
                        "sample": np.tile(np.arange(n), len(self.prompts)),
                        "text": list(found.texts),
                        "n_tokens": found.n_tokens.ravel(),
                        "finished": found.finished.ravel(),
                        "log_prob": found.log_probs.ravel(),
                        "reference_log_prob": found.reference_log_probs.ravel(),
                    }
                )
            )
        return pa.concat_tables(parts)

    def to_dict(self) -> dict[str, Any]:
        """Scores, facts of all conditions, judge and notes; not the responses, which `responses_frame` has."""
        return json_ready(
            {
                "prompts": len(self.prompts),
                "samples": self.scores.n_samples,
                "judge": self.judge,
                "scores": self.scores.to_dict(),
                "conditions": [facts.to_dict() for facts in self.facts],
                "notes": list(self.notes),
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {
            "condition": [facts.condition for facts in self.facts],
            "KL": [facts.kl_known for facts in self.facts],
            "words": [facts.n_words for facts in self.facts],
            "distinct-2": [facts.distinct_2 for facts in self.facts],
            "mean": [0.5, *self.scores.mean],
            "worst": [0.5, *self.scores.worst],
            "worst group": ["", *self.scores.worst_group],
        }
        return "\n".join(
            ["ConditioningExperiment", format_table(columns, 3), repr(self.scores), f"judge: {self.judge}"]
        )


def response_facts(condition: str, found: Responses, *, kl_bound: float | None = None) -> ResponseFacts:
    """Length, diversity, and KL from the reference, of a condition's responses."""
    known = bool(np.isfinite(found.log_probs).all() and np.isfinite(found.reference_log_probs).all())
    kl = None
    if known:
        kl = monte_carlo_kl(
            found.log_probs.ravel(), found.reference_log_probs.ravel(), found.prompt, found.n_tokens.ravel()
        )
    return ResponseFacts(
        condition,
        kl,
        kl_bound,
        float(found.n_tokens.mean()),
        float(np.mean([len(text.split()) for text in found.texts])),
        float(found.finished.mean()),
        distinct_n(found.texts, found.prompt, 2),
        self_bleu(found.texts, found.prompt),
    )
