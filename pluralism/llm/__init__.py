"""Language models behind one small protocol, hosted, local or scripted: chat, structured replies, choices, vectors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pluralism.llm.chat_model import ChatModel
from pluralism.llm.embeddings_endpoint import EmbeddingsEndpoint
from pluralism.llm.messages import Message, Tool, ToolCall
from pluralism.llm.openai_chat import OpenAIChat
from pluralism.llm.recorded_chat import RecordedChat
from pluralism.llm.reply import Choice, Reply, ReplyStream
from pluralism.llm.scripted_chat import ScriptedChat
from pluralism.llm.usage import Usage

if TYPE_CHECKING:
    from pluralism.llm.transformers_chat import TransformersChat

__all__ = [
    "ChatModel",
    "Choice",
    "EmbeddingsEndpoint",
    "Message",
    "OpenAIChat",
    "RecordedChat",
    "Reply",
    "ReplyStream",
    "ScriptedChat",
    "Tool",
    "ToolCall",
    "TransformersChat",
    "Usage",
]


def __getattr__(name: str) -> Any:
    if name == "TransformersChat":
        return importlib.import_module("pluralism.llm.transformers_chat").TransformersChat
    raise AttributeError(f"module 'pluralism.llm' has no attribute {name!r}")
