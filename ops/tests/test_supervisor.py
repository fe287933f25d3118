"""The generated configuration, read by the supervisor's own parser."""

from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from libs.common.config import load
from ops.errors import OperationError
from ops.layout import Layout
from ops.leftovers import MARKER
from ops.programs import Program
from ops.settings import PlatformSettings
from ops.supervisor import configuration, configuration_path, contains, write_configuration

PROGRAM = Program(
    name="postgres",
    command=("postgres", "-c", "log_line_prefix=%m [%p] ", "-D", "a folder/with space"),
    directory=Path("/"),
    environment={"PLAIN": "value", "QUOTED": "l'or", "LIST": "a,b=c", "PERCENT": "100%"},
    stop_signal="INT",
    stop_seconds=30,
    priority=100,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(load(PlatformSettings, {"LUMIERE_HOME": str(tmp_path / "state")}))
    layout.prepare()
    return layout


def parsed(layout: Layout, *programs: Program) -> ServerOptions:
    write_configuration(layout, configuration(layout, programs))
    options = ServerOptions()
    options.realize(args=["-c", str(configuration_path(layout))])
    return options


def test_the_supervisor_reads_back_what_a_program_says(layout: Layout) -> None:
    groups = {group.name: group for group in parsed(layout, PROGRAM).process_group_configs}
    process = groups["postgres"].process_configs[0]
    assert process.command == "postgres -c 'log_line_prefix=%m [%p] ' -D 'a folder/with space'"
    assert {name: process.environment[name] for name in PROGRAM.environment} == PROGRAM.environment
    assert (process.stopsignal, process.stopwaitsecs, process.priority) == (2, 30, 100)
    assert process.autorestart
    assert process.redirect_stderr
    assert process.stdout_logfile == str(layout.logs / "postgres.log")
    assert process.stdout_logfile_backups > 0


def test_every_supervised_process_carries_the_mark_of_its_platform(layout: Layout) -> None:
    assert parsed(layout, PROGRAM).configroot.supervisord.environment == {MARKER: str(layout.state)}


def test_a_guardian_watches_the_supervisor(layout: Layout) -> None:
    names = [group.name for group in parsed(layout).process_group_configs]
    assert names == ["guardian"]


def test_only_this_user_may_read_the_configuration_and_speak_to_the_supervisor(layout: Layout) -> None:
    options = parsed(layout)
    assert configuration_path(layout).stat().st_mode & 0o777 == 0o600
    assert options.server_configs[0]["chmod"] == 0o700


@pytest.mark.parametrize("value", ["two\nlines", "a ; comment", "a # comment", 'say "ada" again', "'ends'"])
def test_a_value_that_the_format_cannot_hold_is_refused(layout: Layout, value: str) -> None:
    with pytest.raises(OperationError):
        configuration(layout, [Program(name="x", command=("x",), directory=Path("/"), environment={"NAME": value})])


def test_a_changed_program_is_noticed(layout: Layout) -> None:
    write_configuration(layout, configuration(layout, [PROGRAM]))
    changed = Program(name="postgres", command=("postgres", "-p", "1"), directory=Path("/"))
    assert contains(layout, [PROGRAM])
    assert not contains(layout, [changed])
