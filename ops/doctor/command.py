"""`lumiere doctor`: the checklist, asked of a running platform."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click

from libs.common.config import ConfigurationError, load
from ops import console
from ops.command_line import json_option
from ops.console import err, literal, step
from ops.containers import Containers
from ops.doctor.box import Box, Finding, State, Target, boxes
from ops.doctor.engine import Engine
from ops.doctor.examination import Answer, Told, examine
from ops.doctor.places import here, outside
from ops.doctor.settings import DoctorSettings
from ops.doctor.showing import Progress, show, show_list
from ops.errors import OperationError

UNTICKED: Final = 1
COULD_NOT_RUN: Final = 2


@click.command()
@click.option("--only", "names", multiple=True, metavar="NAME", help="This box, or all of a group; any number of times.")
@click.option("--list", "listed", is_flag=True, help="List the boxes and what each asks; examines nothing.")
@click.option("--production", is_flag=True, help="Judge this platform as one that serves the public.")
@click.option(
    "--compose", is_flag=True, help="Examine the platform in containers, and the containers themselves, from outside."
)
@click.option("-f", "--file", "overlays", multiple=True, type=click.Path(path_type=Path), help="With --compose: an overlay.")
@click.option("-p", "--project", default=None, help="With --compose: the project's name, when it is another.")
@json_option
def doctor(*, compose: bool, overlays: tuple[Path, ...], project: str | None, as_json: bool, **asked: Any) -> None:
    """Go through the deployment checklist: what was seen, and what to do about it.

    Exit code 0 when every required box is ticked, 1 when one is not, 2 when nothing could be examined. `--json` is a list of
    {"name", "ok", "evidence", "fix"}. What could not be examined is never ticked.
    """
    try:
        chosen = chosen_boxes(asked["names"])
        if asked["listed"]:
            show_list(chosen, as_json)
            return
        progress = Progress(len(chosen), shown=err.is_terminal and not as_json)
        engine = Engine(Containers([each.resolve() for each in overlays], project=project)) if compose else None
        answers = _answers(chosen, engine, production=asked["production"], progress=progress)
    except (OperationError, ConfigurationError) as error:
        if details := getattr(error, "details", ""):
            err.print(f"[dim]{literal(details, lines=True)}[/]")
        err.print(f"[red]✗[/] {literal(error, lines=True)}")
        sys.exit(COULD_NOT_RUN)
    if as_json:
        console.print_json([each.document() for each in answers])
    else:
        show(answers)
    sys.exit(UNTICKED if any(each.stops for each in answers) else 0)


def _answers(chosen: list[Box], engine: Engine | None, *, production: bool, progress: Told) -> list[Answer]:
    settings = load(DoctorSettings)
    if engine is None:
        with closing(here(settings, production=production)) as examined:
            with step("The code's own declarations", quiet_below=2):
                # Not on a box's time: on a busy machine that is most of it.
                examined.code()
            return examine(chosen, examined, progress)
    around = outside(engine, settings, production=production)
    from_outside = [each for each in chosen if Target.ENGINE in each.targets]
    answers = examine(from_outside, around, progress)
    inside = [each for each in chosen if each not in from_outside]
    if inside:
        answers += from_inside(inside, engine, ["--production"] if around.production else [])
    return sorted(answers, key=lambda each: chosen.index(each.box))


def from_inside(asked: list[Box], engine: Engine, options: list[str]) -> list[Answer]:
    """What the doctor in a container beside the platform finds of these boxes. Raises OperationError."""
    words = [word for each in asked for word in ("--only", each.name)]
    told = {each["name"]: each for each in engine.doctor([*words, *options])}
    return [Answer(each, _read(told[each.name])) for each in asked if each.name in told]


def _read(told: dict[str, Any]) -> Finding:
    for state in (State.NOT_APPLICABLE, State.NOT_EXAMINED):
        if told["evidence"].startswith(f"{state.value}: "):
            return Finding(state, told["evidence"].removeprefix(f"{state.value}: "), told["fix"] or None)
    return Finding(State.OK if told["ok"] else State.FAILED, told["evidence"], told["fix"] or None)


def chosen_boxes(names: tuple[str, ...]) -> list[Box]:
    """The boxes and groups of these names; all without a name. Raises OperationError that names all."""
    every = boxes()
    for name in names:
        if not any(name in (each.name, each.group) for each in every):
            raise OperationError(f"No box is called {name}. Known ones: {', '.join(each.name for each in every)}.")
    return [each for each in every if not names or each.name in names or each.group in names]
