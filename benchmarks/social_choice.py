"""Social choice: Schulze beside pref_voting and at a thousand candidates, exact Kemeny, lotteries on cycles.

pref_voting's profile is built before the clock starts, and so is ours, without its counts of pairs: both then count
pairs and find paths. Kemeny's peer tries all orders, so it gets eight candidates. The lotteries' peer is the linear
program, by HiGHS. Seconds are of the processor, over all threads, except where it says "wall".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _timing import compare, machine, markdown_table
from pref_voting.margin_based_methods import beat_path
from pref_voting.other_methods import kemeny_young
from pref_voting.profiles import Profile as PeerProfile
from scipy.optimize import linprog

from pluralism.social_choice import Profile, kemeny_consensus, maximal_lottery, schulze
from pluralism.social_choice.majority import components
from pluralism.solvers.symmetric_game import solve_symmetric_game


def orders(rng: np.random.Generator, ballots: int, candidates: int) -> np.ndarray:
    """Rankings around a weak common order, so that majorities are neither all alike nor all one way."""
    taste = rng.normal(size=candidates) * 0.2
    return np.argsort(rng.normal(size=(ballots, candidates)).astype(np.float32) - taste.astype(np.float32), axis=1)


def levels_of(order: np.ndarray) -> np.ndarray:
    """Place of each candidate, from the candidates in order."""
    levels = np.empty(order.shape, dtype=np.int16)
    np.put_along_axis(levels, order, np.arange(order.shape[1], dtype=np.int16)[None, :], axis=1)
    return levels


def uncounted(profile: Profile) -> Profile:
    """The same profile without the counts of pairs that it keeps."""
    for name in ("support", "margins"):
        profile.__dict__.pop(name, None)
    return profile


def random_game(rng: np.random.Generator, candidates: int) -> np.ndarray:
    """A majority of random size and direction between any two candidates: half of them have a chance."""
    above = np.triu(rng.integers(1, 100, (candidates, candidates)) * rng.choice([-1, 1], (candidates, candidates)), 1)
    return (above - above.T).astype(float)


def schulze_against_pref_voting(rng: np.random.Generator) -> None:
    rows = []
    for candidates, ballots in ((20, 2_000), (50, 2_000), (100, 10_000)):
        order = orders(rng, ballots, candidates)
        started = time.process_time()
        theirs = PeerProfile(order.tolist())
        build_theirs = time.process_time() - started
        started = time.process_time()
        ours = Profile(range(candidates), levels_of(order))
        build_ours = time.process_time() - started

        def their_count(theirs: PeerProfile = theirs) -> list[int]:
            return [int(c) for c in beat_path(theirs)]

        def our_count(ours: Profile = ours) -> list[int]:
            return [int(c) for c in schulze(uncounted(ours)).winners]

        if their_count() != our_count():
            raise AssertionError("the winners differ")
        seconds = compare({"ours": our_count, "theirs": their_count}, 9, clock=time.process_time)
        rows.append(
            [
                f"{candidates} x {ballots:,}",
                seconds["ours"] * 1e3,
                seconds["theirs"] * 1e3,
                seconds["theirs"] / seconds["ours"],
                build_ours * 1e3,
                build_theirs * 1e3,
            ]
        )
    header = ["candidates x ballots", "ours, ms", "pref_voting, ms", "times ours", "our build, ms", "its build, ms"]
    print(markdown_table(header, rows))


def schulze_at_scale(rng: np.random.Generator) -> None:
    profile = Profile(range(1_000), levels_of(orders(rng, 100_000, 1_000)))
    parts: dict[str, Callable[[], Any]] = {
        "pairs, 1,000 x 100,000": lambda: uncounted(profile).support,
        "Schulze with pairs, 1,000 x 100,000": lambda: schulze(uncounted(profile)),
    }
    wall = compare(parts, 3)
    work = compare(parts, 3, warmup=0, clock=time.process_time)
    print(markdown_table(["job", "wall, s", "processor, s"], [[name, wall[name], work[name]] for name in parts]))


def one_cycle(rng: np.random.Generator, candidates: int) -> tuple[np.ndarray, Profile]:
    """Nine rankings drawn at random, again until no part of the candidates beats the rest."""
    while True:
        order = rng.permuted(np.tile(np.arange(candidates), (9, 1)), axis=1)
        profile = Profile(range(candidates), levels_of(order))
        if len(components(profile.margins)) == 1:
            return order, profile


def kemeny_exactly(rng: np.random.Generator) -> None:
    rows = []
    for candidates in (8, 12, 16, 20):
        order, profile = one_cycle(rng, candidates)
        found = kemeny_consensus(profile, most=1)
        runs: dict[str, Callable[[], Any]] = {"ours": lambda profile=profile: kemeny_consensus(profile, most=1)}
        if candidates == 8:
            theirs = PeerProfile(order.tolist())
            runs["theirs"] = lambda theirs=theirs: kemeny_young(theirs)
        seconds = compare(runs, clock=time.process_time)
        peer = seconds.get("theirs")
        ratio = "" if peer is None else f"{peer / seconds['ours']:.3g}"
        rows.append(
            [candidates, found.n_rankings, seconds["ours"] * 1e3, "" if peer is None else f"{peer * 1e3:.3g}", ratio]
        )
    print(markdown_table(["candidates", "best orders", "ours, ms", "pref_voting, ms", "times ours"], rows))


def lotteries(rng: np.random.Generator) -> None:
    rows = []
    for candidates, voters in ((100, 101), (300, 301), (1_000, 1_001)):
        profile = Profile(range(candidates), rng.permuted(np.tile(np.arange(candidates), (voters, 1)), axis=1))
        games = {
            f"{voters:,} voters without a common order": profile.margins.astype(float),
            "random majorities": random_game(rng, candidates),
        }
        for name, game in games.items():
            solution = solve_symmetric_game(game)
            started = time.process_time()
            program = highs(game / np.abs(game).max())
            peer = time.process_time() - started
            runs: dict[str, Callable[[], Any]] = {"game": lambda game=game: solve_symmetric_game(game)}
            if game is not games["random majorities"]:
                runs["rule"] = lambda profile=profile: maximal_lottery(profile)
            seconds = compare(runs, 3, clock=time.process_time)
            apart = float(np.abs(program - solution.strategy).max())
            rule = f"{seconds['rule']:.3g}" if "rule" in seconds else ""
            chances = int(solution.support.sum())
            rows.append(
                [candidates, name, chances, seconds["game"], rule, peer, peer / seconds["game"], f"{apart:.1e}"]
            )
    header = ["candidates", "majorities of", "have a chance", "game, s", "rule, s", "HiGHS, s", "in games", "apart"]
    print(markdown_table(header, rows))


def highs(game: np.ndarray) -> np.ndarray:
    """An optimal strategy by linear programming: the least gain is to be largest."""
    n = len(game)
    solved = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.column_stack([-game.T, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(n), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[*[(0, 1)] * n, (None, None)],
        method="highs",
    )
    return solved.x[:-1]


def main() -> None:
    rng = np.random.default_rng(0)
    schulze_against_pref_voting(rng)
    print()
    kemeny_exactly(rng)
    print()
    lotteries(rng)
    print()
    schulze_at_scale(rng)
    print(machine())


if __name__ == "__main__":
    main()
