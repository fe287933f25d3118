"""Words for e-mails, from the template files beside this module."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, UndefinedError, select_autoescape

from services.notify.domain import DeliveryRefused, Words

FOLDER = Path(__file__).parent / "templates"


class FileTemplates:
    """Three files an e-mail and language: `<template>/<locale>.subject`, `.txt` and `.html`. HTML escapes every variable."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, template: str, locale: str, variables: Mapping[str, str]) -> Words:
        """The words of an e-mail. Raises DeliveryRefused, permanent, for an unknown template or a missing variable."""
        base = f"{template.lower()}/{locale}"
        try:
            subject, text, html = (
                self._environment.get_template(base + kind).render(variables) for kind in (".subject", ".txt", ".html")
            )
        except TemplateNotFound:
            raise DeliveryRefused("TemplateUnknown", permanent=True) from None
        except UndefinedError:
            raise DeliveryRefused("VariableMissing", permanent=True) from None
        return Words(" ".join(subject.split()), text, html)
