"""The moral graph that most tests of this room look at."""

from __future__ import annotations

import numpy as np
import pytest
from moral_graphs import make_graph, random_votes

from pluralism.elicitation.moral_graph import MoralGraph


@pytest.fixture
def graph() -> MoralGraph:
    """Five values, 200 random votes of eight people in three contexts, sealed by nobody."""
    return make_graph().with_votes(random_votes(np.random.default_rng(0), 200))
