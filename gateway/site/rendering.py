"""The gateway's own templates to HTML, with what all pages share (libs/common/pages)."""

from functools import cache
from importlib.resources import files

from libs.common.pages import environment


@cache
def static(name: str) -> bytes:
    """The content of a file that the gateway's pages alone load."""
    return (files("gateway.site") / "static" / name).read_bytes()


def render(template: str, language: str, **values: object) -> str:
    """One page in one language."""
    return environment("gateway.site").get_template(template).render(language=language, **values)
