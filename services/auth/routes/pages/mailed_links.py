"""Forms with which somebody asks for a mail with a link."""

from dataclasses import dataclass
from typing import Any

from libs.common.db import Database
from libs.common.http import Html, Redirect, Submitted
from services.auth.domain.limits import Caller
from services.auth.domain.tokens import Purpose
from services.auth.routes.pages.rendering import Page, Visitor
from services.auth.use_cases import mail_requests


@dataclass(frozen=True, slots=True)
class LinkForm:
    """What it asks for, and the notice that it ends with, the same whether or not the address is known."""

    page: Page
    purpose: Purpose
    notice: str

    def asked(self, form: Submitted[Any], visitor: Visitor, database: Database, caller: Caller) -> Html | Redirect:
        """Take note of what was asked; the form again where it has faults or this client asked too often."""
        if form.value is None:
            return self.page.with_faults(visitor, form.faults, form.given)
        limited = mail_requests.ask(database, form.value.email, self.purpose, caller)
        if limited is not None:
            return self.page.refused(visitor, limited, form.given)
        return Redirect(visitor.link("/login", notice=self.notice), 303)
