"""The battery of a rule of social choice: pure, anonymous, neutral, explained, and refusing what it cannot count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_seed
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.axioms import audit
from pluralism.social_choice.outcome import CommitteeOutcome, Lottery, Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Rule
from pluralism.testing.battery import run_checks
from pluralism.testing.outcome import CheckResult, Failure, Skip, require

__all__ = ["RULE_CHECKS", "check_rule", "rule_checks"]

AnyProfile = Profile | ApprovalProfile


@dataclass
class RuleCase:
    """A rule, and random profiles to count."""

    rule: Rule[Any]
    options: Mapping[str, Any]
    n_profiles: int
    seed: int
    outcomes: dict[int, Any] = field(default_factory=dict)

    @cached_property
    def profiles(self) -> list[AnyProfile]:
        """Small profiles with ties, truncation and weights; with the rule's own kind of ballots."""
        generator = np.random.default_rng(self.seed)
        return [_random_profile(self.rule.takes, generator) for _ in range(self.n_profiles)]

    def each(self) -> Iterable[tuple[AnyProfile, Any]]:
        """Every profile with its outcome, counted once."""
        for i, profile in enumerate(self.profiles):
            if i not in self.outcomes:
                self.outcomes[i] = self.count(profile)
            yield profile, self.outcomes[i]

    def count(self, profile: Any) -> Any:
        """The outcome of a profile."""
        return self.rule(profile, **self.options)


def rule_checks() -> list[str]:
    """Names of all checks of a rule, in the order they run.

    Examples
    --------
    >>> "candidates_are_treated_alike" in rule_checks()
    True
    """
    return list(RULE_CHECKS)


def check_rule(
    rule: Rule[Any],
    *,
    options: Mapping[str, Any] | None = None,
    checks: Sequence[str] | None = None,
    n_profiles: int = 30,
    rng: RNG = 0,
    raise_on_failure: bool = False,
) -> list[CheckResult]:
    """Run the battery on a rule of your own, or of the library.

    Parameters
    ----------
    rule : Rule
        That counts a `Profile` or an `ApprovalProfile`.
    options : mapping, optional
        What the rule is called with, such as ``{"seats": 2}``.
    checks : sequence of str, optional
        Names from `rule_checks()`; all by default.
    n_profiles : int
        Random profiles of up to five candidates on which the rule is tried.
    rng : int, Generator or None
    raise_on_failure : bool
        Raise one error that names all failures.

    Raises
    ------
    ChecksFailedError
        If checks fail and `raise_on_failure` is set.
    UsageError
        For an unknown name of a check, or a rule that counts something else.

    Examples
    --------
    >>> from pluralism.social_choice import borda
    >>> all(result.status == "passed" for result in check_rule(borda, n_profiles=5))
    True
    """
    if rule.takes not in (Profile, ApprovalProfile):
        raise UsageError(
            f"The battery has no profiles for a rule that counts {rule.takes.__name__}.",
            fix="Check rules that count Profile or ApprovalProfile.",
        )
    case = RuleCase(rule, options or {}, n_profiles, as_seed(rng))
    return run_checks(RULE_CHECKS, checks, case, repr(rule), raise_on_failure=raise_on_failure)


def outcomes_name_candidates(case: RuleCase) -> None:
    """Winners or committees are there, are candidates, and stand in the order of the candidates."""
    for profile, outcome in case.each():
        require(outcome.candidates == profile.candidates, "the outcome has other candidates than the profile")
        require(outcome.rule == case.rule.name, f"the outcome is by {outcome.rule!r}")
        sets = outcome.committees if isinstance(outcome, CommitteeOutcome) else (outcome.winners,)
        require(sets and all(sets), "nobody wins")
        for names in sets:
            where = [profile.candidates.index(name) for name in names]
            require(where == sorted(set(where)), f"winners {names} are not in the order of the candidates")
        if isinstance(outcome, Lottery):
            total = outcome.probabilities.sum()
            require(abs(total - 1) < 1e-9 and (outcome.probabilities >= 0).all(), "probabilities do not add up to 1")


def outcomes_are_written(case: RuleCase) -> None:
    """Outcomes have a line for people, a frame, and JSON."""
    for profile, outcome in case.each():
        require(outcome.to_frame().num_rows == profile.n_candidates, "the frame has not one row a candidate")
        require(json.loads(outcome.to_json())["rule"] == case.rule.name, "JSON does not name the rule")
        require(len(repr(outcome)) < 2000, "the repr is very long")


def counting_again_gives_the_same(case: RuleCase) -> None:
    """A rule is a pure function: the profile is left alone and a second count gives the same outcome."""
    for profile, outcome in case.each():
        before = profile.to_json()
        require(_said(case.count(profile)) == _said(outcome), "a second count gives another outcome")
        require(profile.to_json() == before, "counting changes the profile")


def explanations_lead_to_the_outcome(case: RuleCase) -> None:
    """`explain` gives the outcome of the call, with at least one step in words."""
    for profile, outcome in case.each():
        told = case.rule.explain(profile, **case.options)
        require(_said(told.outcome) == _said(outcome), "explain gives another outcome than the call")
        require(told.steps and all(step.text.strip() for step in told.steps), "there are no steps")
        json.loads(told.to_json())


def ballots_are_treated_alike(case: RuleCase) -> None:
    """Anonymity: the order of ballots, and how equal ballots are split into rows, do not matter."""
    generator = np.random.default_rng(case.seed)
    for profile, outcome in case.each():
        rows = generator.permutation(len(profile))
        require(_said(case.count(profile.take(rows))) == _said(outcome), "the order of ballots matters")
        require(_said(case.count(profile.compressed())) == _said(outcome), "merging equal ballots matters")
        times = generator.integers(1, 4, len(profile))
        in_rows = profile.take(np.repeat(np.arange(len(profile)), times))
        in_counts = _with_counts(profile, times * profile.counts, profile.denominator)
        require(_said(case.count(in_rows)) == _said(case.count(in_counts)), "splitting equal ballots matters")


def candidates_are_treated_alike(case: RuleCase) -> None:
    """Neutrality: when the candidates are listed in another order, the same ones win."""
    generator = np.random.default_rng(case.seed)
    for profile, outcome in case.each():
        order = generator.permutation(profile.n_candidates)
        other = case.count(_reordered(profile, order))
        require(_won(other) == _won(outcome), f"{_won(outcome)} win, and {_won(other)} in the order {order.tolist()}")


def units_do_not_matter(case: RuleCase) -> None:
    """The same voters in units half as large give the same outcome."""
    for profile, outcome in case.each():
        finer = _with_counts(profile, 2 * profile.counts, 2 * profile.denominator)
        require(_won(case.count(finer)) == _won(outcome), "the winners depend on the units of counts")


def ballots_that_nobody_cast_do_not_matter(case: RuleCase) -> None:
    """A ballot of count 0 changes nothing."""
    for profile, outcome in case.each():
        rows = np.concatenate([np.arange(len(profile)), [0]])
        more = profile.take(rows)
        counts = more.counts.copy()
        counts[-1] = 0
        without = _with_counts(more, counts, more.denominator)
        require(_said(case.count(without)) == _said(outcome), "a ballot of count 0 matters")


def a_single_candidate_wins(case: RuleCase) -> None:
    """Where there is one candidate, it wins."""
    one = Profile(["only"], [[0]], [3]) if case.rule.takes is Profile else ApprovalProfile(["only"], [[True]], [3])
    options = {name: 1 if name == "seats" else value for name, value in case.options.items()}
    outcome = case.rule(one, **options)
    won = set(outcome.winners) if isinstance(outcome, Lottery) else _won(outcome)
    require(won in ({"only"}, {frozenset({"only"})}), f"{won} win among one candidate")


def nothing_to_count_is_refused(case: RuleCase) -> None:
    """No voters, no candidates and another kind of ballots are errors that say so."""
    kinds: list[Any] = [Profile, ApprovalProfile]
    other = kinds[1 - kinds.index(case.rule.takes)]
    profile = case.profiles[0]
    _refuses(case, _with_counts(profile, 0 * profile.counts, 1), DataError)
    empty = np.zeros((0, 0), dtype=np.int64 if case.rule.takes is Profile else bool)
    _refuses(case, case.rule.takes([], empty), DataError)
    _refuses(case, _random_profile(other, np.random.default_rng(0)), UsageError)


def declared_axioms_stand(case: RuleCase) -> None:
    """No random profile contradicts an axiom that the rule declares."""
    claimed = [name for name, holds in case.rule.axioms.items() if holds]
    if not claimed or case.rule.takes is not Profile:
        raise Skip("the rule declares no axioms of rankings")
    for profile in case.profiles:
        if not isinstance(profile, Profile):
            continue
        report = audit(case.rule, profile, axioms=claimed, tries=5, rng=case.seed, **case.options)
        broken = [check for check in report.checks if check.verdict == "violated"]
        require(not broken, f"{broken[0].axiom}: {broken[0].text}, on {profile.to_json()}" if broken else "")


RULE_CHECKS: dict[str, Callable[[RuleCase], None]] = {
    check.__name__: check
    for check in (
        outcomes_name_candidates,
        outcomes_are_written,
        counting_again_gives_the_same,
        explanations_lead_to_the_outcome,
        ballots_are_treated_alike,
        candidates_are_treated_alike,
        units_do_not_matter,
        ballots_that_nobody_cast_do_not_matter,
        a_single_candidate_wins,
        nothing_to_count_is_refused,
        declared_axioms_stand,
    )
}


def _random_profile(kind: type[Any], generator: np.random.Generator) -> AnyProfile:
    m, n = int(generator.integers(3, 6)), int(generator.integers(1, 8))
    names = "abcdefgh"[:m]
    counts = generator.integers(1, 5, n)
    if kind is ApprovalProfile:
        return ApprovalProfile(names, generator.random((n, m)) < 0.5, counts)
    levels = generator.integers(-1 if generator.random() < 0.5 else 0, m, (n, m))
    if generator.random() < 0.3:
        levels = np.argsort(generator.random((n, m)), axis=1)
    levels[(levels < 0).all(axis=1)] = 0
    return Profile(names, levels, counts)


def _with_counts(profile: Any, counts: np.ndarray, denominator: int) -> Any:
    if isinstance(profile, Profile):
        return Profile(profile.candidates, profile.levels, counts, denominator, profile.unlisted)
    return ApprovalProfile(profile.candidates, profile.approves, counts, denominator)


def _reordered(profile: Any, order: np.ndarray) -> Any:
    names = [profile.candidates[i] for i in order]
    if isinstance(profile, Profile):
        return Profile(names, profile.levels[:, order], profile.counts, profile.denominator, profile.unlisted)
    return ApprovalProfile(names, profile.approves[:, order], profile.counts, profile.denominator)


def _said(outcome: Any) -> str:
    if isinstance(outcome, Lottery):
        return json.dumps(
            {name: round(p, 6) for name, p in zip(outcome.candidates, outcome.probabilities, strict=True)}
        )
    return str(outcome.to_json())


def _won(outcome: Outcome | CommitteeOutcome | Lottery) -> set[Any]:
    if isinstance(outcome, CommitteeOutcome):
        return {frozenset(committee) for committee in outcome.committees}
    if isinstance(outcome, Lottery):
        chances = zip(outcome.candidates, outcome.probabilities, strict=True)
        return {(name, round(float(p), 6)) for name, p in chances if p > 1e-6}
    return set(outcome.winners)


def _refuses(case: RuleCase, profile: Any, kind: type[Exception]) -> None:
    try:
        case.count(profile)
    except kind:
        return
    raise Failure(f"{profile!r} is counted, where a {kind.__name__} should say what is wrong")
