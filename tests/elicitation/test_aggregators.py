"""All aggregators: brute force where an order is searched, closed forms, planted strengths, what must not matter."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from moral_graphs import counted_votes, make_card, make_graph, random_votes, vote
from scipy.special import expit
from scipy.stats import kendalltau

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.catalogue import aggregators, find_aggregator
from pluralism.elicitation.aggregators.support import pair_profile, relation_scores, support_matrices
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.tally import tally_graph
from pluralism.errors import UsageError
from pluralism.social_choice import find_rule

RULES = sorted(aggregators())
SETTLED = [name for name in RULES if name != "bridging"]


def planted(
    seed: int,
    n_people: int = 80,
    names: str = "abcdefgh",
    contexts: tuple[str, ...] = ("",),
    drift: float = 0.0,
    acquiescence: float = 0.0,
) -> tuple[MoralGraph, dict[str, np.ndarray]]:
    """People who answer by strengths from -1.5 to 1.5 (plus a drift in each context), a sixth of them not sure."""
    rng = np.random.default_rng(seed)
    base = np.linspace(-1.5, 1.5, len(names))
    truth = {context: base + drift * rng.normal(size=len(names)) for context in contexts}
    votes = []
    for person in range(n_people):
        for _ in range(8):
            i, j = rng.choice(len(names), 2, replace=False)
            context = str(rng.choice(contexts))
            p = expit(truth[context][j] - truth[context][i] + acquiescence)
            answer = "not_sure" if rng.random() < 1 / 6 else ("upgrade" if rng.random() < p else "no_upgrade")
            votes.append(vote(f"p{person}", names[i], names[j], answer, context=context))
    graph = make_graph(names).with_votes(votes)
    return graph.with_groups({f"p{i}": "ns"[i % 2] for i in range(n_people)}), truth


@pytest.mark.parametrize("rule", RULES)
def test_planted_strengths_are_found(rule: str) -> None:
    graph, truth = planted(0, n_people=300)
    ranking = aggregate(graph, rule, n_bootstrap=0)
    ranked = ~np.isnan(ranking.scores)
    tau = kendalltau(truth[""][ranked], ranking.scores[ranked]).statistic
    assert ranked.sum() >= 7
    assert tau > (0.55 if rule in ("corrected", "pagerank", "reference", "bridging") else 0.85)
    assert ranking.n_components == 1
    frame = ranking.to_frame()
    assert frame["id"].to_pylist()[: len(ranking.order)] == list(ranking.order)
    assert ranking.to_json() and rule in repr(ranking)


@pytest.mark.parametrize("rule", RULES)
def test_names_and_order_of_people_do_not_matter(rule: str) -> None:
    graph, _ = planted(1)
    table = graph.votes.to_frame()
    person = np.random.default_rng(0).permutation(80)[graph.votes.codes("participant")[0]]
    shuffled = make_graph("abcdefgh").with_votes(table.take(np.argsort(person, kind="stable")))
    shuffled = shuffled.with_groups(graph.groups)
    # ranked pairs breaks ties by the place of a pair, which shuffling keeps
    base = aggregate(graph, rule, n_bootstrap=0)
    assert np.allclose(aggregate(shuffled, rule, n_bootstrap=0).scores, base.scores, equal_nan=True, atol=1e-6)
    if rule == "ranked-pairs":
        return
    other = dict(zip("abcdefgh", "hcfbadge", strict=True))
    renamed = [row | {"source": other[row["source"]], "wiser": other[row["wiser"]]} for row in table.to_pylist()]
    moved = aggregate(make_graph("abcdefgh").with_votes(renamed).with_groups(graph.groups), rule, n_bootstrap=0)
    for name in "abcdefgh":
        assert moved.score_of(other[name]) == pytest.approx(base.score_of(name), nan_ok=True, abs=1e-6)


@pytest.mark.parametrize("rule", SETTLED)
def test_everybody_twice_changes_no_order(rule: str) -> None:
    # more evidence moves a posterior and a prior; the others count shares
    graph, _ = planted(2)
    again = [row | {"participant": row["participant"] + "'"} for row in graph.votes.to_frame().to_pylist()]
    twice = aggregate(graph.with_votes(again), rule, n_bootstrap=0)
    base = aggregate(graph, rule, n_bootstrap=0)
    if rule in ("bradley-terry", "hierarchical-bradley-terry", "rank-centrality", "corrected"):
        tau = kendalltau(base.scores, twice.scores, nan_policy="omit").statistic
        assert tau > 0.8
    else:
        assert np.allclose(twice.scores, base.scores, equal_nan=True)


MONOTONE = [name for name, rule in aggregators().items() if rule.monotone]


@pytest.mark.parametrize("rule", MONOTONE)
@pytest.mark.parametrize("seed", range(3))
def test_one_more_upgrade_never_lowers_the_wiser_value(rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = make_graph("abcdef").with_votes(random_votes(rng, 60, names="abcdef", n_people=20, contexts=("",)))
    options = {"ridge": 1.0} if "bradley" in rule else {}
    options |= {"context_ridge": 1.0} if rule.startswith("hier") else {}
    base = aggregate(graph, rule, **options)
    for _ in range(6):
        a, b = rng.choice(list("abcdef"), 2, replace=False)
        after = aggregate(graph.with_votes([vote("another", a, b)]), rule, **options)
        better = [name for name in "abcdef" if base.rank_of(b) < base.rank_of(name)]
        assert all(after.rank_of(b) < after.rank_of(name) for name in better)


def test_rules_that_declare_monotonicity() -> None:
    assert {"bradley-terry", "hierarchical-bradley-terry", "schulze", "copeland", "kemeny"} <= set(MONOTONE)
    assert not {"reference", "pagerank", "bridging"} & set(MONOTONE)


@pytest.mark.parametrize("seed", range(5))
def test_orders_against_all_permutations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = make_graph().with_votes(random_votes(rng, 150, n_people=40, contexts=("",)))
    tally = tally_graph(graph)
    (wins,) = support_matrices(tally.graph, tally.observed)
    margins = wins - wins.T

    # Kemeny: the votes given up are the fewest that any order of all values gives up
    def given_up(order: tuple[int, ...]) -> int:
        return sum(max(margins[b, a], 0) for i, a in enumerate(order) for b in order[i + 1 :])

    fewest = min(given_up(order) for order in permutations(range(5)))
    kemeny = aggregate(graph, "kemeny")
    assert kemeny.details["given_up_votes"] == fewest and kemeny.details["optimal"]
    best = [order for order in permutations(range(5)) if given_up(order) == fewest]
    if len(best) == 1:
        assert kemeny.order == tuple("abcde"[i] for i in best[0])

    # Schulze: widest paths by trying all of them
    def width(a: int, b: int) -> int:
        between = [v for v in range(5) if v not in (a, b)]
        paths = [(a, *middle, b) for n in range(4) for middle in permutations(between, n)]
        links = np.where(margins > 0, wins, 0)
        return max(min(links[x, y] for x, y in pairwise(path)) for path in paths)

    ahead = np.array([[a != b and width(a, b) > width(b, a) for b in range(5)] for a in range(5)])
    assert aggregate(graph, "schulze").scores.tolist() == relation_scores(ahead).tolist()

    # and the rules of social choice agree on the winners, given ballots on pairs
    profile = pair_profile(wins)
    assert np.array_equal(profile.support, wins)
    for name, rule in (("schulze", "schulze"), ("ranked-pairs", "ranked-pairs"), ("copeland", "copeland")):
        options: dict[str, Any] = {} if name == "copeland" else {"strength": "winning_votes"}
        winners = {"abcde"[int(i)] for i in find_rule(rule)(profile, **options).winners}
        ranking = aggregate(graph, name)
        first = {n for n in "abcde" if ranking.rank_of(n) == 1}
        assert first and first <= winners


def test_clones_change_nothing_under_schulze_and_ranked_pairs_but_do_under_pagerank() -> None:
    # a beats b, b beats c, c beats a, by falling majorities; c' is a clone of c
    base = {("b", "a"): (9, 1, 0), ("c", "b"): (8, 2, 0), ("a", "c"): (7, 3, 0)}
    clones = base | {("d", "b"): (8, 2, 0), ("a", "d"): (7, 3, 0), ("d", "c"): (6, 4, 0)}
    order = {}
    for rule in ("schulze", "ranked-pairs", "pagerank", "in-strength"):
        before = aggregate(make_graph("abc").with_votes(counted_votes(base)), rule)
        after = aggregate(make_graph("abcd").with_votes(counted_votes(clones)), rule)
        order[rule] = ("".join(before.order), "".join(n for n in after.order if n != "d"))
    assert order["schulze"] == order["ranked-pairs"] == ("abc", "abc")
    assert order["pagerank"] == ("abc", "bac") and order["in-strength"] == ("abc", "bca")


def test_bradley_terry_learns_who_says_yes_readily() -> None:
    graph, truth = planted(3, n_people=600, acquiescence=1.0)
    fitted = aggregate(graph, "bradley-terry", not_sure="ignore")
    assert fitted.details["acquiescence"] == pytest.approx(1.0, abs=0.15)
    centred = fitted.scores - fitted.scores.mean()
    assert np.abs(centred - truth[""]).max() < 0.3
    assert aggregate(graph, "bradley-terry", acquiescence=False).details["acquiescence"] == 0.0
    # asked in one direction alone, saying yes cannot be told from thinking so
    line = {("a", "b"): (9, 1, 0), ("b", "c"): (8, 2, 0)}
    one_way = aggregate(make_graph("abc").with_votes(counted_votes(line)), "bradley-terry")
    assert one_way.details["acquiescence"] == 0.0 and one_way.order == ("c", "b", "a")
    both_ways = line | {("b", "a"): (7, 3, 0), ("c", "b"): (7, 3, 0)}
    assert (
        aggregate(make_graph("abc").with_votes(counted_votes(both_ways)), "bradley-terry").details["acquiescence"] > 0.5
    )


def test_one_pair_of_bradley_terry_is_its_log_odds() -> None:
    graph = make_graph("ab").with_votes(counted_votes({("a", "b"): (9, 3, 4)}))
    ranking = aggregate(graph, "bradley-terry", ridge=1e-8, acquiescence=False)
    assert ranking.score_of("b") - ranking.score_of("a") == pytest.approx(np.log(3), abs=1e-4)
    as_ties = aggregate(graph, "bradley-terry", ridge=1e-8, acquiescence=False, no_upgrade="tie")
    assert as_ties.score_of("b") - as_ties.score_of("a") > 3
    ignored = aggregate(graph, "bradley-terry", ridge=1e-8, acquiescence=False, not_sure="ignore")
    assert ignored.details["log_tie"] is None
    assert ignored.score_of("b") - ignored.score_of("a") == pytest.approx(np.log(3), abs=1e-5)


def test_contexts_borrow_from_each_other() -> None:
    graph, _ = planted(4, n_people=120, contexts=("x", "y"), drift=0.0)
    pooled = aggregate(graph, "bradley-terry", ridge=1.0)
    tied = aggregate(graph, "hierarchical-bradley-terry", context="x", ridge=1.0, context_ridge=1e8)
    assert np.allclose(tied.scores, pooled.scores, atol=1e-4)
    apart = aggregate(
        graph, "hierarchical-bradley-terry", context="x", ridge=1e8, context_ridge=1.0, acquiescence=False
    )
    alone = aggregate(graph, "bradley-terry", context="x", ridge=1.0, acquiescence=False, not_sure="ignore")
    free = aggregate(
        graph,
        "hierarchical-bradley-terry",
        context="x",
        ridge=1e8,
        context_ridge=1.0,
        acquiescence=False,
        not_sure="ignore",
    )
    assert np.allclose(free.scores, alone.scores, atol=1e-4)
    assert np.isfinite(apart.scores).all()


@pytest.mark.parametrize("seed", range(3))
def test_partial_pooling_beats_both_extremes(seed: int) -> None:
    contexts = tuple("uvwxyz")
    graph, truth = planted(seed, n_people=150, contexts=contexts, drift=0.5)

    def error(rule: str) -> float:
        errors = []
        for context in contexts:
            scores = aggregate(graph, rule, context=context)
            centred = scores.scores - scores.scores.mean()
            errors.append(np.mean((centred - (truth[context] - truth[context].mean())) ** 2))
        return float(np.mean(errors))

    hierarchical = error("hierarchical-bradley-terry")
    alone = error("bradley-terry")
    pooled = aggregate(graph, "bradley-terry").scores
    pooled_error = np.mean([np.mean((pooled - pooled.mean() - (t - t.mean())) ** 2) for t in truth.values()])
    assert hierarchical < min(alone, pooled_error)


def test_bridging_needs_every_group() -> None:
    votes = []
    for i in range(30):
        group = "n" if i < 20 else "s"
        # the larger group alone calls b wiser; all call c wiser
        votes.append(vote(f"{group}{i}", "a", "b", "upgrade" if group == "n" else "no_upgrade"))
        votes.append(vote(f"{group}{i}", "a", "c", "upgrade" if i % 10 < 6 else "not_sure"))
    groups = {one["participant"]: one["participant"][0] for one in votes}
    graph = make_graph("abc").with_votes(votes).with_groups(groups)
    assert aggregate(graph, "in-strength").order[0] == "b" or aggregate(graph, "in-strength").order[0] == "c"
    for combine in ("minimum", "geometric_mean"):
        ranking = aggregate(graph, "bridging", combine=combine)
        assert ranking.order[0] == "c"
    support = dict(zip(*(ranking.edges[name].to_pylist() for name in ("wiser", "support")), strict=True))
    assert support["c"] == pytest.approx(np.sqrt(13 / 22 * 7 / 12))
    assert support["b"] == pytest.approx(np.sqrt(21 / 22 * 1 / 12))
    # no votes are no support: flipping "no" to "not sure" changes nothing
    unsure = [one | {"answer": "not_sure" if one["answer"] == "no_upgrade" else one["answer"]} for one in votes]
    again = aggregate(make_graph("abc").with_votes(unsure).with_groups(groups), "bridging", combine="geometric_mean")
    assert np.allclose(again.scores, ranking.scores)
    # a pair that a group has not judged does not count, unless fewer groups suffice
    only = make_graph("abc").with_votes([one for one in votes if one["wiser"] == "c" or one["participant"][0] == "n"])
    partly = only.with_groups(groups)
    assert aggregate(partly, "bridging").unranked == ("b",)
    assert aggregate(partly, "bridging", least_groups=1).order[0] == "b"
    with pytest.raises(UsageError, match="in 0 groups"):
        aggregate(make_graph("abc").with_votes(votes), "bridging")


def test_parts_that_no_answer_joins_are_not_ranked_against_each_other() -> None:
    counts = {("a", "b"): (8, 1, 0), ("c", "d"): (6, 2, 0), ("d", "e"): (7, 0, 0)}
    graph = make_graph("abcdef").with_votes(counted_votes(counts))
    for rule in SETTLED:
        ranking = aggregate(graph, rule, n_bootstrap=20)
        assert ranking.n_components == 2
        assert ranking.component.tolist() == [1, 1, 0, 0, 0, -1]
        assert "not comparable" in ranking.notes[0]
        assert "f" in ranking.unranked
        assert ranking.rank_of("b") == 1 and ranking.rank_of("e") == 1
        assert ranking.to_frame().num_rows == 6


def test_counts_alone_are_ranked_as_the_votes_behind_them(graph: MoralGraph) -> None:
    counted = graph.counted()
    for rule in SETTLED:
        if rule == "reference":
            continue  # the original has one ballot for each pair, which counts by context do not tell
        base = aggregate(graph, rule, n_bootstrap=0)
        assert np.allclose(aggregate(counted, rule, n_bootstrap=0).scores, base.scores, equal_nan=True)
        one = aggregate(counted, rule, context="x", n_bootstrap=0).scores
        assert np.allclose(one, aggregate(graph, rule, context="x", n_bootstrap=0).scores, equal_nan=True)
    assert aggregate(counted, "corrected").uncertainty is None
    with pytest.raises(UsageError, match="without the votes"):
        aggregate(counted, "schulze", n_bootstrap=5)
    with pytest.raises(UsageError, match="no groups"):
        aggregate(counted, "bridging")


def test_hodge_shares_and_what_votes_in_circles_do() -> None:
    circle = {("a", "b"): (9, 1, 0), ("b", "c"): (9, 1, 0), ("c", "a"): (9, 1, 0)}
    found = aggregate(make_graph("abc").with_votes(counted_votes(circle)), "hodge-rank")
    assert found.details["curl_share"] == pytest.approx(1.0)
    assert np.allclose(found.scores, 0, atol=1e-9) and found.ranks.tolist() == [1, 1, 1]
    line = {("a", "b"): (9, 1, 0), ("b", "c"): (9, 1, 0)}
    found = aggregate(make_graph("abc").with_votes(counted_votes(line)), "hodge-rank")
    assert found.details["gradient_share"] == pytest.approx(1.0)
    assert found.score_of("c") - found.score_of("a") == pytest.approx(1.6)


def test_what_is_not_possible_is_refused(graph: MoralGraph) -> None:
    assert find_aggregator("bradley_terry").name == "bradley-terry"
    with pytest.raises(UsageError, match="no aggregator 'wisest'"):
        aggregate(graph, "wisest")
    with pytest.raises(UsageError, match="no option 'bogus'"):
        aggregate(graph, "schulze", bogus=1)
    for rule, options in (
        ("schulze", {"strength": "x"}),
        ("copeland", {"no_upgrade": "x"}),
        ("bradley-terry", {"ridge": 0}),
        ("bradley-terry", {"not_sure": "x"}),
        ("hierarchical-bradley-terry", {"context_ridge": -1}),
        ("pagerank", {"damping": 1.0}),
        ("corrected", {"certainty": 1.0}),
        ("rank-centrality", {"prior": 0}),
    ):
        with pytest.raises(UsageError, match=r"(is|are) not possible"):
            aggregate(graph, rule, **options)
    with pytest.raises(UsageError, match="are not possible"):
        aggregate(graph, "schulze", n_bootstrap=-1)


@pytest.mark.parametrize("rule", SETTLED)
def test_graphs_without_votes_or_with_one_person_are_insufficient_evidence(rule: str) -> None:
    empty = aggregate(make_graph("abc"), rule)
    assert empty.order == () and empty.answer.startswith("Insufficient evidence")
    assert empty.to_frame().num_rows == 3 and empty.to_json()
    one = aggregate(MoralGraph({n: make_card(n) for n in "ab"}).with_votes([vote("ann", "a", "b")]), rule)
    assert one.uncertainty is None
