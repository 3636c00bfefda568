"""A server that speaks the OpenAI protocol, and a small random chat model with a tokenizer of its own."""

from __future__ import annotations

import pytest
from fake_openai import FakeOpenAI
from tiny_chat import save_tiny_chat


@pytest.fixture
def server(monkeypatch):
    """A running server, and no key or server of the user's in the environment."""
    pytest.importorskip("openai", reason="hosted models need the extra: pip install 'pluralism[llm]'")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    fake = FakeOpenAI()
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def tiny_chat(tmp_path_factory):
    """The folder of a random Llama of two blocks with a byte-level tokenizer and a chat template."""
    pytest.importorskip("transformers", reason="local models need the extra: pip install 'pluralism[embed]'")
    return save_tiny_chat(tmp_path_factory.mktemp("chat"))
