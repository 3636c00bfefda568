"""Language models that tests share: trained once a run, never changed."""

from __future__ import annotations

import pytest
import tiny_lm as models


@pytest.fixture(scope="session")
def tiny_lm():
    """A model of 80,000 weights that answers four questions plainly or warmly; trained in two seconds."""
    return models.tiny_lm()


@pytest.fixture(scope="session")
def demo_lm():
    """A model that answers the questions of the demo corpus. Training takes long: mark its users as slow."""
    return models.demo_lm()
