"""`lumiere cron`: which jobs schedulers may run, and running one as they do."""

import click
import httpx

from libs.common.auth.policy import CRON_HEADER
from libs.common.config import DOOR_SECRET_LENGTH_MIN, door_secret
from ops.command_line import json_option, this_platform, told
from ops.console import out, print_json
from ops.errors import OperationError
from ops.layout import Layout

TIMEOUT_SECONDS = 10


def jobs(layout: Layout) -> dict[str, str]:
    """Every job that schedulers may run, and its service."""
    return {job: service for service in layout.services for job in layout.jobs(service)}


def trigger(layout: Layout, job: str) -> None:
    """Run a job now, through the gateway. Raises OperationError."""
    if job not in jobs(layout):
        raise OperationError(f"There is no job {job}. `lumiere cron` lists them.")
    secret = door_secret(layout.settings.cron_secret)
    if secret is None:
        raise OperationError(
            f"The cron door is shut: set CRON_SECRET, {DOOR_SECRET_LENGTH_MIN} characters or more, then `make up`."
        )
    try:
        answer = httpx.post(
            f"{layout.origin}/cron/{job}",
            headers={CRON_HEADER.encode(): secret.encode()},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise OperationError(f"The gateway does not answer at {layout.origin} ({type(error).__name__}). `make up`?") from None
    if answer.status_code == 404:
        raise OperationError("The platform runs with another CRON_SECRET, or with none: `make down up` with this one.")
    if answer.status_code != 202:
        raise OperationError(f"The gateway answered {answer.status_code}: {answer.json().get('detail', '')}")


@click.command()
@click.argument("job", required=False)
@json_option
@told
def cron(job: str | None, as_json: bool) -> None:
    """Run JOB now, as a scheduler would; without JOB, list the jobs.

    Needs the platform's CRON_SECRET in the environment. Accepted means that the service's worker runs it once it is free.
    """
    layout = this_platform().layout
    if job is None:
        _list(jobs(layout), as_json)
        return
    trigger(layout, job)
    if as_json:
        print_json({"job": job, "status": "accepted"})
    else:
        out.print(f"{job} is accepted: its worker runs it once it is free.")


def _list(found: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [{"job": job, "service": service} for job, service in found.items()]})
        return
    for job, service in found.items():
        out.print(f"{job}  [dim]{service}[/]")
