"""`explain`, `routes`, `diff`, `compile`, `check` and `dry-run`: what the gateway decides, before and without a request.

The same commands answer to `python -m gateway` in the gateway's container and to `lumiere gateway` on a machine of its own.
Exit codes: 0 all well; 1 a fault, or policies that differ; 2 wrong use.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from gateway import haproxy, limits
from gateway.command_line import Place, json_option
from gateway.compiler import compile_configuration
from gateway.differences import Change, differences, who
from gateway.door import Door, TargetError
from gateway.dry_run import DryRun, Finding, Trial
from gateway.folder import Folder
from gateway.haproxy import HaproxyAway, HaproxyError
from gateway.manifest import ManifestError
from gateway.policies import HERE, IN_FORCE, PolicyUnknown, policy_of
from gateway.settings import GatewaySettings
from gateway.state import Gateway
from gateway.telling import ControlAway
from gateway.verdict import Policy, Verdict
from libs.common import clock
from libs.common.auth.policy import Rate, Role
from libs.common.config import ConfigurationError, load

DIFFERENT = 1
"""Exit code of `diff` when the policies decide differently."""
TAKEN_SECONDS = 10
"""How long `dry-run start` waits for the control process to compile."""
PROFILES = ("development", "production")

P = ParamSpec("P")
R = TypeVar("R")


def said(function: Callable[P, R]) -> Callable[P, R]:
    """Turn foreseen failures into a message and exit code 1."""

    @wraps(function)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        except (PolicyUnknown, ControlAway, ManifestError, TargetError, HaproxyError, ConfigurationError) as error:
            raise click.ClickException(str(error)) from None

    return wrapped


@click.command()
@click.argument("method")
@click.argument("path")
@click.option("--role", "roles", multiple=True, type=click.Choice([str(role) for role in Role]), help="A role of the caller.")
@click.option("--no-token", is_flag=True, help="The caller has no access token.")
@click.option("--policy", "source", default=HERE, show_default=True, help=f"{HERE}, {IN_FORCE}, a folder or a revision.")
@click.option("--profile", type=click.Choice(PROFILES), default="production", show_default=True, help="Whose limits.")
@json_option
@click.pass_obj
@said
def explain(place: Place, /, method: str, path: str, roles: Sequence[str], no_token: bool, **options: Any) -> None:
    """Say which rule answers METHOD PATH, who may, and what is decided for a caller.

    Without --role and --no-token the caller is somebody who is signed in and holds no role:
    an administrator who has no second factor yet, say.
    """
    if no_token and roles:
        raise click.UsageError("--role and --no-token exclude each other: roles stand in a token.")
    folder = _folder(place)
    policy = Policy(policy_of(options["source"], folder))
    caller = None if no_token else [Role(role) for role in roles]
    verdict = policy.judge(method, path.partition("?")[0], caller)
    document = _explained(verdict, options["profile"], folder)
    _tell(document, lambda: _sentences(method, path, verdict, document), options["as_json"])


def _explained(verdict: Verdict, profile: Any, folder: Folder | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "decision": verdict.decision,
        "status": verdict.status,
        "reason": verdict.reason,
        "passes": verdict.passes,
        "route": None,
        "allowed_methods": list(verdict.allowed),
        "nearest": list(verdict.nearest),
    }
    route = verdict.route
    if route is not None:
        limit = limits.limits(profile)[Rate(route.rate)]
        backend = f"{verdict.service}-{route.process}"
        found["route"] = {
            "service": verdict.service,
            **json.loads(route.model_dump_json()),
            "declared_at": route.place,
            "who": who(route),
            "rate_limits": {"subject": limit.subject, "address": limit.address, "window_seconds": limits.WINDOW_SECONDS},
            "backend": backend,
            "replicas": _replicas(folder).get(backend),
        }
    return found


def _replicas(folder: Folder | None) -> Mapping[str, Mapping[str, str]]:
    if folder is None:
        return {}
    try:
        return haproxy.Haproxy(folder).replicas()
    except HaproxyAway:
        return {}


def _sentences(method: str, path: str, verdict: Verdict, document: Mapping[str, Any]) -> list[str]:
    answer = "passes on to its service" if verdict.passes else f"is answered {verdict.status}"
    lines = [f"{method} {path} {answer}: {verdict.decision} ({verdict.reason})"]
    if verdict.allowed:
        lines.append(f"  methods      {', '.join(verdict.allowed)}")
    lines += [f"  near         {each}" for each in verdict.nearest]
    route = document["route"]
    if route is not None:
        rate = route["rate_limits"]
        replicas = route["replicas"]
        known = "unknown: no HAProxy answers here" if replicas is None else ", ".join(f"{k} {v}" for k, v in replicas.items())
        lines += [
            f"  route        {route['method']} {route['path']} ({route['operation']})",
            f"  declared     {route['declared_at']}",
            f"  who          {route['who']}",
            f"  class        {route['rate']}: {_numbers(rate)}",
            f"  body         {route['body_limit']} bytes{', streamed' if route['stream'] else ''}",
            f"  timeout      {route['timeout']:g} s",
            f"  step-up      {'none' if route['step_up'] is None else _step_up(route)}",
            f"  scope        {route['scope'] or 'none'}{', clients for themselves too' if route['machines'] else ''}",
            f"  maintenance  {'answered' if route['during_maintenance'] else 'turned away'}",
            f"  backend      {route['backend']} ({known})",
        ]
    return lines


def _step_up(route: Mapping[str, Any]) -> str:
    surely = f", with {route['step_up_acr']}" if route["step_up_acr"] else ""
    return f"{route['step_up']} s since the sign-in at most{surely}"


def _numbers(rate: Mapping[str, Any]) -> str:
    return f"{rate['subject']} a subject, {rate['address']} an address, in {rate['window_seconds']} s"


@click.command()
@click.option("--policy", "source", default=HERE, show_default=True, help=f"{HERE}, {IN_FORCE}, a folder or a revision.")
@json_option
@click.pass_obj
@said
def routes(place: Place, source: str, as_json: bool) -> None:
    """List every route that can be reached from outside: who may, rate class, body limit, timeout."""
    found = sorted(Policy(policy_of(source, _folder(place))).exposed, key=lambda pair: (pair[1].path, pair[1].method))
    rows = [
        (each.method, each.path, who(each), str(each.rate), str(each.body_limit), f"{each.timeout:g}", service)
        for service, each in found
    ]
    head = ("METHOD", "PATH", "WHO", "CLASS", "BODY", "SECONDS", "SERVICE")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    _tell([dict(zip(map(str.lower, head), row, strict=True)) for row in rows], lambda: lines, as_json)


@click.command()
@click.argument("before", default=IN_FORCE)
@click.argument("after", default=HERE)
@json_option
@click.pass_obj
@said
def diff(place: Place, before: str, after: str, as_json: bool) -> None:
    """Say what changes from one policy to another; what lets more in is marked with !. Exit code 1 when anything does.

    BEFORE and AFTER are `in-force` (the running gateway's release), `here` (the manifests here), a folder or a revision.
    """
    folder = _folder(place) if IN_FORCE in {before, after} else None
    changes = differences(policy_of(before, folder), policy_of(after, folder))
    _tell([each.document() for each in changes], lambda: [*map(_line, changes)] or ["Both decide alike."], as_json)
    if changes:
        sys.exit(DIFFERENT)


def _line(change: Change) -> str:
    return f"{'!' if change.widens else ' '} {change.service}: {change.route}: {change.what} ({change.place})"


@click.command(name="compile")
@click.argument("into", required=False, type=click.Path(file_okay=False, path_type=Path))
@json_option
@click.pass_context
@said
def compile_(context: click.Context, into: Path | None, as_json: bool) -> None:
    """Compile the manifests into the folder INTO, or for the running gateway, which is reloaded when anything changed."""
    if into is None:
        settings = load(GatewaySettings, context.meta[ENVIRONMENT]()) if ENVIRONMENT in context.meta else load(GatewaySettings)
        gateway = Gateway(settings.door(), Folder(settings.gateway_folder), settings.targets())
        changed = gateway.compile()
        release, place = str(gateway.folder.current_release()), gateway.folder.current
    else:
        release, changed, place = *_compiled(Folder(into)), into / "current"
    size = sum(path.stat().st_size for path in place.resolve().rglob("*") if path.is_file())
    count = sum(len(each.routes) for each in policy_of(HERE))
    answer = {"release": release, "changed": changed, "routes": count, "bytes": size, "folder": str(place)}
    state = "in force" if changed else "unchanged"
    _tell(answer, lambda: [f"{release} {state}: {count} routes, {size} bytes in {place}"], as_json)


ENVIRONMENT = "gateway.environment"
"""In a context's `meta`: a function that returns the environment to read settings from, when it is not the process's own."""


def _compiled(folder: Folder) -> tuple[str, bool]:
    files = compile_configuration(policy_of(HERE), nobodys_door(), (), {}, clock.now().date())
    release = folder.stage(files)
    haproxy.validate(folder, release)
    changed = release != folder.current_release()
    folder.promote(release)
    return release, changed


def nobodys_door() -> Door:
    """Of no gateway: what is compiled for it is to be read, not run, and the same manifests give the same release."""
    return Door("http://127.0.0.1:8080", "lumiere", "production", "127.0.0.1", 8080, b"of no gateway")


@click.command()
@json_option
@said
def check(as_json: bool) -> None:
    """Compile the manifests without settings, keys or targets, and let HAProxy read the result."""
    manifests = policy_of(HERE)
    with tempfile.TemporaryDirectory() as folder:
        _compiled(Folder(Path(folder)))
    count = sum(len(each.routes) for each in manifests)
    answer = {"manifests": len(manifests), "routes": count, "valid": True}
    _tell(answer, lambda: [f"{len(manifests)} manifests, {count} routes: valid"], as_json)


@click.group(name="dry-run")
def dry_run() -> None:
    """Let a candidate policy judge every request beside the one in force, and see what it would change."""


@dry_run.command()
@click.argument("source")
@json_option
@click.pass_obj
@said
def start(place: Place, source: str, as_json: bool) -> None:
    """Try the policy of SOURCE: a folder of manifests, or a revision of the repository. Requests are decided as before."""
    trying = DryRun(place())
    trial = trying.start(policy_of(source), source)
    taken = _within(TAKEN_SECONDS, trying.compiled)
    routes_of_it = sum(len(each.routes) for each in trial.manifests)
    answer = {"candidate": source, "routes": routes_of_it, "started_at": trial.started_at.isoformat(), "judging": taken}
    later = "" if taken else "; no control process has taken it yet"
    _tell(answer, lambda: [f"The policy of {source} ({routes_of_it} routes) judges beside the one in force{later}."], as_json)


@dry_run.command()
@json_option
@click.pass_obj
@said
def stop(place: Place, as_json: bool) -> None:
    """End the trial."""
    stopped = DryRun(place()).stop()
    _tell({"stopped": stopped}, lambda: ["The trial has ended." if stopped else "No policy was on trial."], as_json)


@dry_run.command()
@json_option
@click.pass_obj
@said
def report(place: Place, as_json: bool) -> None:
    """Say what the candidate would have refused or permitted since it was started, by operation and by who may today."""
    trying = DryRun(place())
    trial = trying.trial()
    if trial is None:
        raise PolicyUnknown("no policy is on trial: start one with `dry-run start FOLDER`")
    found = trying.report(trial)
    answer = {
        "candidate": trial.source,
        "started_at": trial.started_at.isoformat(),
        "findings": [asdict(each) for each in found],
    }
    _tell(answer, lambda: _findings(trial, found), as_json)


def _findings(trial: Trial, found: Sequence[Finding]) -> list[str]:
    head = f"{trial.source}, since {trial.started_at.isoformat(timespec='seconds')}:"
    if not found:
        return [f"{head} no request would have been decided otherwise."]
    return [
        head,
        *(
            f"  {each.requests:>8} × would {each.change} {each.operation or 'what is not found'} "
            f"(for {each.access if each.access != '-' else 'nobody'} today; {each.candidate})"
            for each in found
        ),
    ]


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = clock.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if clock.monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


def _folder(place: Place) -> Folder | None:
    """The gateway's folder; none where no gateway has run: then there is nothing to ask it."""
    try:
        return place()
    except (ConfigurationError, click.ClickException):
        return None


def _tell(answer: Any, lines: Callable[[], Sequence[str]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        for line in lines():
            click.echo(line)


COMMANDS: Mapping[str, click.Command] = {str(each.name): each for each in (explain, routes, diff, compile_, check, dry_run)}
