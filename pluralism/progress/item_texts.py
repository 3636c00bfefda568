"""The words of questions: what a language model, or whoever talks like one, is shown."""

from __future__ import annotations

from dataclasses import dataclass

from pluralism.errors import DataError

__all__ = ["ItemTexts"]


@dataclass(frozen=True)
class ItemTexts:
    """Texts of the options of an `ItemBank`.

    Attributes
    ----------
    query : tuple of (prompt, first, second)
        Of each pair that people can be asked about.
    evaluation : tuple of (prompt, option, option, ...)
        Of each question that policies are judged by.

    Raises
    ------
    DataError
        If a text is empty, a question offers one text twice, or an option to be judged by can also be asked about.
    """

    query: tuple[tuple[str, ...], ...]
    evaluation: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for name, rows in (("query", self.query), ("evaluation", self.evaluation)):
            for k, (prompt, *options) in enumerate(rows):
                if len(set(options)) < max(len(options), 2) or not all(text.strip() for text in (prompt, *options)):
                    raise DataError(
                        "A question has an empty text, or offers one text twice.",
                        where=f"{name} {k}",
                        fix="Give a prompt and different options.",
                    )
        asked = {option for _, *options in self.query for option in options}
        for k, (_, *options) in enumerate(self.evaluation):
            if asked & set(options):
                raise DataError(
                    "An option to be judged by can also be asked about.",
                    where=f"evaluation item {k}",
                    fix="Split the questions before use: query and evaluation must not share options.",
                )

    @classmethod
    def numbered(cls, n_query: int, n_evaluation: int, n_options: int) -> ItemTexts:
        """Names for options of which only features are known."""
        return cls(
            tuple((f"Question {k}", f"option {k}a", f"option {k}b") for k in range(n_query)),
            tuple(
                (f"Item {k}", *(f"choice {k}{chr(ord('a') + place)}" for place in range(n_options)))
                for k in range(n_evaluation)
            ),
        )
