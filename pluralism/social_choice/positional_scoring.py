"""Positional scoring: points for each place on a ballot; veto and Dowdall are named cases."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pluralism.errors import DataError, UsageError
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.position_kernels import count_places
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, Rule, rule
from pluralism.social_choice.scores import named_scores, outcome_of_scores

__all__ = ["dowdall", "positional_rule", "positional_scores", "veto"]


def positional_rule(points: Sequence[int | Fraction], name: str = "positional-scoring") -> Rule[Outcome]:
    """The rule that gives points for places.

    Parameters
    ----------
    points : sequence of int or Fraction
        For first place, for second place, and so on, one for each candidate of the profiles to come; never rising.
        Candidates tied on a ballot share the points of the places that they fill.
    name : str
        Of the rule.

    Raises
    ------
    UsageError
        When the rule is used, if the points do not fit.
    DataError
        When it is used, if ballots are truncated in a profile that does not compare unlisted candidates: they have no
        place then.

    Examples
    --------
    >>> from pluralism.social_choice import Profile
    >>> profile = Profile.from_orders([["a", "b", "c"], ["c", "b", "a"]], counts=[3, 2])
    >>> positional_rule([3, 2, 0])(profile)
    Outcome(positional-scoring: b; b 10, a 9, c 6)
    """

    def by_points(profile: Profile, log: Log) -> Outcome:
        return _by_points(name, profile, log, list(points))

    by_points.__doc__ = f"The candidates with the most points, of which places give {', '.join(map(str, points))}."
    always = {"anonymity": True, "neutrality": True, "monotonicity": True, "participation": True, "reinforcement": True}
    source = "H. P. Young, Social choice scoring functions, SIAM J. Appl. Math. 1975"
    return rule(name, takes=Profile, source=source, axioms=always)(by_points)


@rule(
    "veto",
    takes=Profile,
    source="also anti-plurality; H. Moulin, Axioms of Cooperative Decision Making, 1988, chapter 9",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": False,
        "condorcet": False,
        "condorcet_loser": False,
        "smith": False,
        "pareto": False,
        "monotonicity": True,
        "clone_independence": False,
        "participation": True,
        "reinforcement": True,
        "reversal_symmetry": False,
    },
)
def veto(profile: Profile, log: Log) -> Outcome:
    """The candidates that the fewest ballots have last; scores are minus those last places.

    Of t candidates tied last, as are those that a truncated ballot leaves out, each has 1/t of the ballot against it.
    """
    return _by_points("veto", profile, log, [*[0] * (profile.n_candidates - 1), -1])


@rule(
    "dowdall",
    takes=Profile,
    source="J. Fraenkel and B. Grofman, The Borda count and its real-world alternatives, 2014",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": False,
        "condorcet": False,
        "condorcet_loser": False,
        "smith": False,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": True,
        "reinforcement": True,
        "reversal_symmetry": False,
    },
)
def dowdall(profile: Profile, log: Log) -> Outcome:
    """The candidates with the most points, of which place k on a ballot gives 1/k (the rule of Nauru).

    Candidates tied on a ballot share the points of the places that they fill.
    """
    return _by_points("dowdall", profile, log, [Fraction(1, place) for place in range(1, profile.n_candidates + 1)])


def positional_scores(profile: Profile, points: Sequence[int | Fraction]) -> list[Fraction]:
    """Points of each candidate, exactly."""
    _check(profile, points)
    before = [Fraction(0)]
    for point in points:
        before.append(before[-1] + Fraction(point))
    groups, table = count_places(profile.levels, profile.counts)
    shares = [(before[start + size] - before[start]) / size for start, size in groups.tolist()]
    columns = table.T.tolist()
    return [
        sum((share * units for share, units in zip(shares, column, strict=True) if units), Fraction(0))
        / profile.denominator
        for column in columns
    ]


def _by_points(name: str, profile: Profile, log: Log, points: Sequence[int | Fraction]) -> Outcome:
    scores = positional_scores(profile, points)
    log(
        f"Places give {', '.join(map(str, points[:8]))}{', ...' if len(points) > 8 else ''} points: "
        f"{named_scores(profile.candidates, scores)}.",
        points=list(points),
    )
    return outcome_of_scores(name, profile.candidates, scores, log)


def _check(profile: Profile, points: Sequence[int | Fraction]) -> None:
    exact = all(isinstance(point, int | Fraction) and not isinstance(point, bool) for point in points)
    if not exact or len(points) != profile.n_candidates or list(points) != sorted(points, reverse=True):
        raise UsageError(
            f"Points {list(points)[:8]!r} do not fit {profile.n_candidates} candidates.",
            fix="Give one int or Fraction for each candidate, never rising: [2, 1, 0], say.",
        )
    if profile.unlisted == "ignore" and not profile.complete:
        raise DataError(
            "Some ballots do not list all candidates, and the profile does not compare those they leave out: these "
            "have no place.",
            fix='Make the profile with unlisted="below", so that they are tied last.',
        )
