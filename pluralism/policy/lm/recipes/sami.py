"""Self-supervised alignment with mutual information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.recipes.response_lists import ListBatch, ListRecipe, lists_of
from pluralism.policy.lm.recipes.training_rows import answered
from pluralism.policy.sami_loss import sami_loss
from pluralism.random import RNG

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["SAMI"]


@dataclass(frozen=True, kw_only=True)
class SAMI(ListRecipe):
    """More mutual information between the principles that a model is told and what it answers; no preferences needed.

    A row has a prompt, system messages of different principles, and the response drawn under each, as `draw` makes
    them. The loss is `pluralism.policy.sami_loss` of the mean token log-probabilities of all responses under all
    principles. It rewards whatever tells principles apart, so watch whether responses are still good ones.

    References
    ----------
    J.-P. Fränken et al., "Self-supervised alignment with mutual information", arXiv:2404.14313.
    """

    name: ClassVar[str] = "sami"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "systems", "responses")
    compares: ClassVar[bool] = False

    @staticmethod
    def draw(
        model: LanguageModel,
        prompts: Sequence[str],
        constitutions: Sequence[str],
        *,
        max_tokens: int = 128,
        temperature: float = 1.0,
        rng: RNG = 0,
    ) -> dict[str, list[Any]]:
        """Rows to train on: for each prompt a response of the model under each principle.

        Parameters
        ----------
        model : LanguageModel
        prompts : sequence of str
        constitutions : sequence of str
            The system message of each principle; two different ones at least.

        Raises
        ------
        UsageError
        """
        told = list(constitutions)
        if isinstance(constitutions, str) or len(set(told)) < 2 or len(set(told)) < len(told):
            raise UsageError("Two different principles are needed at least.", fix="Give the system message of each.")
        drawn = model.generate(
            [prompt for prompt in prompts for _ in told],
            system=told * len(prompts),
            max_tokens=max_tokens,
            temperature=temperature,
            rng=rng,
        )
        n = len(told)
        responses = [list(drawn.texts[k * n : (k + 1) * n]) for k in range(len(prompts))]
        return {"prompt": list(prompts), "systems": [told] * len(prompts), "responses": responses}

    def _lists(self, model: LanguageModel, source: Source) -> tuple[list[Any], list[list[str]], dict[str, list[Any]]]:
        contexts = answered(source, ())[0]
        systems, texts = (lists_of(source, name, str, least=2) for name in ("systems", "responses"))
        sizes = {len(each) for each in systems}
        wrong = next(
            (k for k, (a, b) in enumerate(zip(systems, texts, strict=True)) if not len(a) == len(b) == len(set(a))),
            None,
        )
        if wrong is not None or len(sizes) > 1:
            raise DataError(
                "Principles and responses do not fit each other.",
                where=f"{source.name}, row {(wrong or 0) + 1}",
                fix="Give each row as many different principles as every other row, and one response for each.",
            )
        if any(system is not None for _, system, _ in contexts):
            raise DataError(
                "A prompt has a system message beside the principles.", where=source.name, fix="Leave it out."
            )
        asked = []
        for (prompt, _, turns), each in zip(contexts, systems, strict=True):
            told = [model.prompt_tokens(prompt, system=principle, examples=turns) for principle in each]
            asked.append([tokens for tokens in told for _ in each])
        return asked, [said * len(said) for said in texts], {}

    def _losses(self, batch: ListBatch) -> Any:
        n = round(batch.mean.shape[1] ** 0.5)
        return sami_loss(batch.mean.reshape(-1, n, n))
