"""What is made once for all who ask at once, and holds up nobody who asks for something else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from pluralism.elicitation.web import graphs
from pluralism.elicitation.web.graph_view import Pictures
from pluralism.elicitation.web.keyed_locks import KeyedLocks

WAIT = 20.0


def test_locks_are_of_their_keys() -> None:
    locks = KeyedLocks()
    one = locks.of("a")
    assert locks.of("a") is one and locks.of("b") is not one
    del one
    assert len(locks._locks) == 0


def test_a_picture_is_made_once_and_holds_up_no_other() -> None:
    pictures, begun, go_on, made = Pictures(), threading.Event(), threading.Event(), []

    def slow():
        made.append("slow")
        begun.set()
        assert go_on.wait(WAIT)
        return {"picture": "slow"}

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(pictures.get, ("a",), slow)
        assert begun.wait(WAIT)
        second = pool.submit(pictures.get, ("a",), slow)
        try:
            assert pool.submit(pictures.get, ("b",), lambda: {"picture": "quick"}).result(WAIT) == {"picture": "quick"}
        finally:
            go_on.set()
        assert first.result(WAIT) is second.result(WAIT) and made == ["slow"]


def test_a_graph_that_is_built_holds_up_no_other_study(service, study, monkeypatch) -> None:
    other = service.studies.create(title="Other", protocol=study.protocol, case=study.case, by="anna")
    begun, go_on = threading.Event(), threading.Event()
    build = graphs.build_graph

    def slow(connection, of):
        if of.id == study.id:
            begun.set()
            assert go_on.wait(WAIT)
        return build(connection, of)

    monkeypatch.setattr(graphs, "build_graph", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.graphs.get, study.id)
        assert begun.wait(WAIT)
        try:
            assert len(pool.submit(service.graphs.get, other.id).result(WAIT).graph.votes) == 0
        finally:
            go_on.set()
        assert not first.result(WAIT).stale
