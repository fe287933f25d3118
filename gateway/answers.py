"""The gateway's own refusals: a problem document for programs, a page in their language for people.

HAProxy cannot choose between two bodies in one rule, and a second rule for each would cost every request that is *not*
refused. So a body is put together, when it is sent, from pieces in one map, keyed by the refusal's name and by the variable
`txn.form`: unset for programs, else a language. HAProxy's own errors (503, 504 …) are made in the same way.
"""

import json
from collections.abc import Iterator
from html import escape

from gateway.problems import KINDS
from gateway.site.rendering import render
from gateway.site.words import words
from libs.common.pages import LANGUAGES

MAP = "maps/answers.map"
PATH, REQUEST_ID = "@path@", "@request_id@"
MIDDLE, TAIL = "~middle", "~tail"


class Answers:
    """Collects the refusals of one configuration while it is rendered."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[int, str]] = {}

    def body(self, decision: str, status: int, detail: str) -> str:
        """The body of one refusal as a log-format string. Raises ValueError for a name that means two things."""
        if self._heads.setdefault(decision, (status, detail)) != (status, detail):
            raise ValueError(f"two refusals are named {decision}: give each a name of its own")
        pieces = [f"%[str({name}.),concat(,txn.form),map_str({MAP})]" for name in (decision, MIDDLE, TAIL)]
        return f"{pieces[0]}%[var(txn.path)]{pieces[1]}%[var(txn.request_id)]{pieces[2]}"

    def lines(self) -> list[str]:
        """The entries of the map."""
        found: dict[str, str] = {}
        for decision, (status, detail) in sorted(self._heads.items()):
            for form, text in _forms(decision, status, detail):
                head, _, rest = text.partition(PATH)
                middle, _, tail = rest.partition(REQUEST_ID)
                found[f"{decision}.{form}"] = head
                found[f"{MIDDLE}.{form}"], found[f"{TAIL}.{form}"] = middle, tail
        return [f"{key} {value}" for key, value in found.items()]


def _forms(decision: str, status: int, detail: str) -> Iterator[tuple[str, str]]:
    yield "", json.dumps(KINDS[status](detail).document(PATH, REQUEST_ID), ensure_ascii=True)
    for language in LANGUAGES:
        yield language, page(decision, status, language)


def page(decision: str, status: int, language: str) -> str:
    """An error page on one line, with places for path and request id: what stands there holds no markup character."""
    html = render(
        "error.html",
        language,
        words=words(decision, status, language),
        status=status,
        path=escape(PATH),
        request_id=escape(REQUEST_ID),
    )
    return " ".join(line.strip() for line in html.splitlines() if line.strip())
