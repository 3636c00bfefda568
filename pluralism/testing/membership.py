"""Groups and people: posteriors, priors, placing strangers, and what follows for predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluralism.models.membership import Membership
from pluralism.testing.case import Case, close, replaced
from pluralism.testing.outcome import Skip, require

__all__ = ["CHECKS"]


def posteriors_are_distributions(case: Case) -> None:
    """Rows of every membership, and the group weights, are not negative and sum to 1."""
    model = case.fitted
    memberships = (model.membership(), model.membership(case.data), model.adapt(case.strangers))
    for weights in (model.group_weights_[None, :], *(membership.posterior for membership in memberships)):
        require((weights >= 0).all(), "a membership is negative")
        close(weights.sum(axis=1), np.ones(len(weights)), 1e-9, "sum of a membership")


def groups_are_in_canonical_order(case: Case) -> None:
    """Groups are ordered by weight, the largest first."""
    require((np.diff(case.fitted.group_weights_) <= 1e-12).all(), "group_weights_ are not descending")


def people_without_answers_have_the_prior(case: Case) -> None:
    """Unknown users, and users without a row, are placed at the group weights; zero answers are behind it."""
    model = case.fitted
    nobody = case.strangers.take(np.zeros(0, dtype=np.int64))
    for membership in (model.adapt(nobody), model.membership(case.strangers)):
        prior = np.tile(model.group_weights_, (len(membership), 1))
        close(membership.posterior, prior, 1e-9, "membership of people without answers")
        require((membership.n == 0).all(), "answers are counted for people without any")
    require(len(model.adapt(nobody)) == case.strangers.n_users, "adapt leaves out users without rows")


def adapting_to_training_answers_agrees_with_training(case: Case) -> None:
    """Training users, placed anew by their training answers, get nearly their training membership."""
    model = case.fitted
    placed, trained = model.adapt(case.data), model.membership()
    difference = np.abs(placed.posterior - trained.of(placed.users)).sum(axis=1).mean()
    require(difference < 0.05, f"placed anew, training users move by {difference:.3f} on average")


def adapting_leaves_the_model_as_it_is(case: Case) -> None:
    """Placing people does not change the model, and the same answers always lead to the same place."""
    model = case.fitted
    before = model.predict_proba(case.data)
    first, second = model.adapt(case.strangers), model.adapt(case.strangers)
    close(first.posterior, second.posterior, 0.0, "placing twice")
    close(model.predict_proba(case.data), before, 0.0, "predictions after placing somebody")


def answers_of_one_stranger_do_not_place_another(case: Case) -> None:
    """Each person is placed by that person's answers alone."""
    model, strangers = case.fitted, case.strangers
    together = model.adapt(strangers).posterior
    alone = np.concatenate([model.adapt(strangers.take(strangers.user == k).compact()).posterior for k in range(5)])
    close(together, alone, 1e-9, "placing strangers together or one by one")


def a_certain_member_is_predicted_as_the_group(case: Case) -> None:
    """Predictions use the membership given, also for training users, and mix the groups by it.

    Where a person's reward is no mean of the groups' rewards, a model says so by a false attribute `mixes_rewards`:
    somebody between two groups may then be surer than either.
    """
    if case.model.places == "factors":
        raise Skip("people of one group differ")
    model, data = case.fitted, case.data
    by_group = model.predict_group_proba(data)
    p = model.predict_proba(data)
    low, high = by_group.min(axis=1) - 1e-9, by_group.max(axis=1) + 1e-9
    if model.membership().position is None and getattr(model, "mixes_rewards", True):
        require(((p >= low) & (p <= high)).all(), "a prediction lies outside those of all groups")
    if model.n_groups_ == 1:
        return
    strangers = case.strangers
    for k in range(model.n_groups_):
        posterior = np.tile(np.eye(model.n_groups_)[k], (strangers.n_users, 1))
        membership = Membership(strangers.users, posterior, np.ones(strangers.n_users, dtype=np.int64))
        found = model.predict_proba(strangers, membership=membership)
        close(found, model.predict_group_proba(strangers)[:, k], 1e-9, f"predictions of certain members of group {k}")


def two_clear_groups_are_told_apart(case: Case) -> None:
    """Where the model may have several groups, the two of an easy population are recovered."""
    model, truth = case.fitted, case.simulation.truth.groups
    if model.n_groups_ == 1:
        raise Skip("the model has one group")
    found = model.posterior_.argmax(axis=1)
    mixed = sum(min(np.bincount(truth[found == k], minlength=2)) for k in np.unique(found))
    require(mixed <= 0.1 * len(truth), f"{mixed} of {len(truth)} people share a group with the other camp")


def answers_help(case: Case) -> None:
    """Strangers are predicted no worse after their answers than by the prior, and better where there are groups."""
    model = case.fitted
    data = replaced(case.data, users=[f"stranger {k}" for k in range(case.data.n_users)])
    odd = np.arange(len(data)) % 2 == 1
    membership = model.adapt(data.take(~odd))
    scored = data.take(odd)
    loss = [
        -np.log(np.where(scored.outcome > 0.5, p, 1 - p)).mean()
        for p in (model.predict_proba(scored), model.predict_proba(scored, membership=membership))
    ]
    require(loss[1] <= loss[0] + 1e-9, f"answers raise the loss from {loss[0]:.3f} to {loss[1]:.3f}")
    require(model.n_groups_ == 1 or loss[1] < loss[0] - 0.05, "answers do not help, although there are groups")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        posteriors_are_distributions,
        groups_are_in_canonical_order,
        people_without_answers_have_the_prior,
        adapting_to_training_answers_agrees_with_training,
        adapting_leaves_the_model_as_it_is,
        answers_of_one_stranger_do_not_place_another,
        a_certain_member_is_predicted_as_the_group,
        two_clear_groups_are_told_apart,
        answers_help,
    )
}
