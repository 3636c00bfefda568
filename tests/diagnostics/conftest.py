"""A language model that tests share: trained once a run, never changed."""

from __future__ import annotations

import pytest
import tiny_lm as models


@pytest.fixture(scope="session")
def tiny_lm():
    """Answers four questions plainly or warmly; trained in two seconds."""
    return models.tiny_lm()
