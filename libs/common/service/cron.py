"""The cron door: `POST /cron/<job>` runs a job of the service now.

Web only asks. The trigger is a notification after the commit; the worker that holds the job's advisory lock hears it and runs
the job as it always does, so a job never runs twice at once, however often and wherever it is asked for (ADR 0026).
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from libs.common.auth.policy import CRON, Idempotency, Rate, allow_of
from libs.common.db import Transaction
from libs.common.http.models import Accepted, View
from libs.common.http.routes import Handler, Route
from libs.common.jobs import TRIGGERS, Job

BODY_MAX = 1_024
"""Bytes that a scheduler may send along; nobody reads them."""


class Triggered(View):
    """A job that will run now."""

    job: str = Field(examples=["purge_expired"])
    status: Literal["accepted"] = "accepted"


def cron_routes(service: str, jobs: Iterable[Job]) -> list[Route]:
    """One route a job, so that the compiler sees each of them and refuses a name that two services use."""
    return [
        Route(
            service=service,
            method="POST",
            path=f"/cron/{job.name}",
            handler=_handler(job),
            allow=allow_of(CRON),
            rate=Rate.CREDENTIALS,
            idempotency=Idempotency.REFUSED,
            status=202,
            body_limit=BODY_MAX,
        )
        for job in jobs
    ]


def _handler(job: Job) -> Handler:
    def trigger(tx: Transaction) -> Accepted[Triggered]:
        tx.audit("job.trigger", "job", job.name)
        tx.notify(TRIGGERS, job.name)
        return Accepted(Triggered(job=job.name))

    # In manifest, document and messages the route is the job itself.
    trigger.__name__, trigger.__module__ = job.name, job.function.__module__
    summary = (job.function.__doc__ or job.name).strip().splitlines()[0]
    trigger.__doc__ = f"Run now: {summary[:1].lower()}{summary[1:]}\n\n{DESCRIPTION}"
    return trigger


DESCRIPTION = """\
For a scheduler outside, which sends the secret in `X-Cron-Secret`; without it there is nothing at this address. Accepted means
that the service's worker runs the job once it is free, and at its start if it is away now. Several requests during one run are
one further run."""
