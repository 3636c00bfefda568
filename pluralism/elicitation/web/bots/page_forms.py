"""The forms and the cards of a page, as somebody sees them who fills them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Form", "Page", "read_page"]


@dataclass
class Form:
    """A form.

    Attributes
    ----------
    action : str
        Empty where it is sent to the page that it stands on.
    hidden : dict of str to str
    choices : dict of str to list of str
        What radio buttons and boxes to tick offer, by their name.
    texts : dict of str to str
        Fields to write in, and what stands there.
    buttons : list of (name, value)
    """

    action: str
    hidden: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Page:
    """A page.

    Attributes
    ----------
    forms : list of Form
        Those that are posted.
    cards : list of str
        Titles of the values cards on it, in order.
    inputs : dict of str to str
        Values of fields outside of forms, by id.
    """

    forms: list[Form] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)

    def form(self, action: str) -> Form | None:
        """The form with an action, or None."""
        return next((form for form in self.forms if form.action == action), None)


def read_page(html: str) -> Page:
    """Read a page.

    Examples
    --------
    >>> page = read_page('<form method="post" action="/x"><input type="hidden" name="key" value="1"></form>')
    >>> page.form("/x").hidden
    {'key': '1'}
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._form: Form | None = None
        self._writing: str | None = None
        self._in_card = self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", "")) if given.get("method") == "post" else None
            if self._form is not None:
                self.page.forms.append(self._form)
        elif tag == "article" and given.get("class") == "values-card":
            self._in_card = True
        elif tag in ("h2", "h3") and self._in_card:
            self._in_title = True
            self.page.cards.append("")
        elif tag == "input" and self._form is None and "id" in given:
            self.page.inputs[given["id"]] = given.get("value", "")
        elif self._form is not None and "name" in given:
            self._field(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "article":
            self._in_card = False
        elif tag in ("h2", "h3"):
            self._in_title = False
        elif tag == "textarea":
            self._writing = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.page.cards[-1] += data.strip()
        elif self._writing is not None and self._form is not None:
            self._form.texts[self._writing] += data

    def _field(self, tag: str, given: dict[str, str]) -> None:
        form, name, kind = self._form, given["name"], given.get("type", "")
        if form is None:
            return
        if tag == "button":
            form.buttons.append((name, given.get("value", "")))
        elif kind == "hidden":
            form.hidden[name] = given.get("value", "")
        elif kind in ("radio", "checkbox"):
            form.choices.setdefault(name, []).append(given.get("value", ""))
        else:
            form.texts[name] = given.get("value", "")
            self._writing = name if tag == "textarea" else None
