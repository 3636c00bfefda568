"""One policy for everybody by a welfare rule, to be held against conditioning: the best of n by the rule's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.policy.by_rule import policy_by_rule
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.lm.conditioning.best_of_n import BestOfN
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.solvers.best_of_n import best_of_n_kl_bound

if TYPE_CHECKING:
    import numpy as np

    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.policy.lm.text_rewards import TextReward
    from pluralism.social_choice.utilities import Utilities

__all__ = ["RULES", "single_policies", "weights_at_kl"]

RULES = ("utilitarian", "maxmin", "nash")


def single_policies(
    model: LanguageModel,
    reward: TextReward,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    rules: Sequence[str] = RULES,
    n: int = 8,
) -> tuple[tuple[BestOfN, ...], Mapping[str, Float[np.ndarray, " groups"]]]:
    """The best of n draws by the weights of each rule, which are those of its optimum at the KL that best-of-n has.

    Weights are found on responses of the model to other prompts than those that will be judged; with them groups are
    compared by what they gain over the model, in logits. By the best of n the policy of the weights is then only
    approached: see `pluralism.policy.frontier`.

    Parameters
    ----------
    model : LanguageModel
        The reference.
    reward : TextReward
        Raw, a column for each group.
    prompts, responses : sequences of str
        Responses of the model, several to each prompt: those of ``Generations`` are ``written.prompt_texts,
        written.texts``.
    rules : sequence of {"utilitarian", "maxmin", "nash"}
    n : int
        Draws of which the best is kept, 2 or more.

    Returns
    -------
    policies : tuple of BestOfN
        Named after the rules.
    weights : mapping of str to array of shape (groups,)
        Of each rule, summing to 1.
    """
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown or n < 2:
        what = f"There is no rule {unknown[0]!r} here" if unknown else f"n={n!r} is not possible"
        raise UsageError(f"{what}.", fix=f"Rules are {', '.join(RULES)}; n is 2 or more.")
    utilities = reward.in_unit("gain", prompts, responses).utilities
    base = SinglePolicy(model, reward.names)
    weights = {rule: weights_at_kl(utilities, rule, kl=best_of_n_kl_bound(n))[0] for rule in rules}
    policies = tuple(
        BestOfN(base, dict.fromkeys(reward.names, reward.weighted(weights[rule])), n, name=rule) for rule in rules
    )
    return policies, weights


def weights_at_kl(utilities: Utilities, rule: str, *, kl: float) -> tuple[Float[np.ndarray, " groups"], FinitePolicy]:
    """Weights with which one reward has the optimum of a welfare rule, at a given KL from the reference.

    Parameters
    ----------
    utilities : Utilities
        In a unit that groups can be compared in.
    rule : {"utilitarian", "maxmin", "nash"}
    kl : float
        Budget in nats, above 0.

    Returns
    -------
    weights : array of shape (groups,)
        They sum to 1.
    policy : FinitePolicy
        The optimum, with its certificate.

    Raises
    ------
    UsageError
        If the rule has no weights here: with "nash", where no policy serves all groups better than the reference.
    """
    policy = policy_by_rule(utilities, rule, kl=kl)
    if rule == "utilitarian":
        return utilities.shares.copy(), policy
    proof = policy.certificate
    if proof is None or proof.weights is None:
        raise UsageError(
            f"The rule {rule!r} has no weights here: no policy serves all groups better than the reference.",
            fix="Draw more responses, or leave the rule out.",
        )
    return proof.weights[0], policy
