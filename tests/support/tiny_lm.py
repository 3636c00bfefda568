"""Small language models trained from nothing: one in a second or two, and one on the demo corpus."""

from __future__ import annotations

import functools

PROMPTS = ["What colour is the sky?", "What do bees make?", "Where do fish live?", "When does the sun rise?"]
RESPONSES = {
    "plain": ["It is blue.", "They make honey.", "They live in water.", "It rises at dawn."],
    "warm": [
        "My dear friend, the sky is a lovely blue!",
        "My dear friend, they make sweet honey!",
        "My dear friend, they live in cool water!",
        "My dear friend, it rises at golden dawn!",
    ],
}
SYSTEMS = {"plain": "Answer plainly.", "warm": "Answer warmly."}


@functools.cache
def tiny_lm():
    """Answers four questions plainly or warmly: as its system message says, or either way without one."""
    from pluralism.policy.lm.from_scratch import train_from_scratch

    rows = [
        (prompt, RESPONSES[style][k], system)
        for style in RESPONSES
        for k, prompt in enumerate(PROMPTS)
        for system in (SYSTEMS[style], None)
    ]
    prompts, responses, systems = (list(column) for column in zip(*rows, strict=True))
    return train_from_scratch(
        prompts, responses, systems=systems, vocabulary=400, hidden=64, steps=60, positions=512, device="cpu"
    )


@functools.cache
def demo_lm():
    """Answers the questions of the demo corpus in the styles that stand there."""
    from pluralism.data.demo import demo_items
    from pluralism.policy.lm.from_scratch import train_from_scratch

    items = demo_items()
    return train_from_scratch(items.prompts.to_pylist(), items.texts.to_pylist(), device="cpu")
