"""Self-play preference optimisation with soft win rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.recipes.response_lists import ListBatch, ListRecipe, lists_of, prompts_of
from pluralism.policy.sppo_loss import sppo_loss

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["SoftSPPO"]


@dataclass(frozen=True, kw_only=True)
class SoftSPPO(ListRecipe):
    r"""One round of self-play, :math:`(\rho(y) - \eta P(y) + \log Z)^2` averaged over the responses to a prompt.

    :math:`\rho` is the log-ratio to the last policy, the reference; P the chance that a response is preferred to a draw
    of that policy, by a group or by a mixture of groups, as `soft_win_rates` estimates it from the same draws. TRL's
    ``sppo_hard`` rounds P to 1 and 0. Rounds that each begin from the last one's model approach the von Neumann winner
    of the preference in the mean over rounds; a single round may move away from it where preferences are cyclic.

    Attributes
    ----------
    beta : float
        1 / eta, above 0.
    responses : {"all", "extremes"}
        Train on all responses of a row, or on those of the highest and the lowest win rate, as the paper does.
    normaliser : {"half", "samples"}
        log Z as eta / 2, as in the paper, or as the logarithm of the mean of exp(eta P) over a row's responses, which
        are taken to be draws of the last policy.

    References
    ----------
    Y. Wu et al., "Self-play preference optimization for language model alignment", arXiv:2405.00675, equation 4.7.
    """

    name: ClassVar[str] = "soft_sppo"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "responses", "win_rates")
    facts: ClassVar[tuple[str, ...]] = ("win_rates", "log_partition")

    beta: float = 1e-3
    responses: Literal["all", "extremes"] = "all"
    normaliser: Literal["half", "samples"] = "half"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise UsageError(f"beta={self.beta!r} is not possible.", fix="It is above 0.")
        if self.responses not in ("all", "extremes") or self.normaliser not in ("half", "samples"):
            raise UsageError(
                f"responses={self.responses!r}, normaliser={self.normaliser!r} are not possible.",
                fix='responses is "all" or "extremes", normaliser "half" or "samples".',
            )

    def _lists(self, model: LanguageModel, source: Source) -> tuple[list[Any], list[list[str]], dict[str, list[Any]]]:
        prompts = prompts_of(model, source)
        texts = lists_of(source, "responses", str, least=2)
        rates = lists_of(source, "win_rates", (int, float), least=2)
        for row, (said, won) in enumerate(zip(texts, rates, strict=True)):
            if len(said) != len(won) or min(won) < 0 or max(won) > 1:
                raise DataError(
                    "win_rates do not fit the responses, or are no probabilities.",
                    where=f"{source.name}, row {row + 1}",
                    fix="Give each response its chance to be preferred to a draw of the last policy.",
                )
        eta = 1.0 / self.beta
        if self.normaliser == "half":
            logs = [0.5 * eta] * len(rates)
        else:
            logs = [float(np.logaddexp.reduce(eta * np.array(won)) - np.log(len(won))) for won in rates]
        if self.responses == "extremes":
            ends = [(int(np.argmax(won)), int(np.argmin(won))) for won in rates]
            texts = [[said[k] for k in pair] for said, pair in zip(texts, ends, strict=True)]
            rates = [[won[k] for k in pair] for won, pair in zip(rates, ends, strict=True)]
        facts = {"win_rates": rates, "log_partition": [[z] * len(won) for z, won in zip(logs, rates, strict=True)]}
        return [[prompt] * len(said) for prompt, said in zip(prompts, texts, strict=True)], texts, facts

    def _losses(self, batch: ListBatch) -> Any:
        facts = batch.facts
        loss = sppo_loss(
            batch.total - batch.reference,
            facts["win_rates"],
            eta=1.0 / self.beta,
            log_partition=facts["log_partition"][:, 0],
        )
        return (loss * batch.there).sum(1) / batch.n_rows
