"""Rules that imports cannot express. Each yields `line: what is wrong and what to do`."""

import ast
from collections.abc import Iterator

from tests.architecture.source import Source, calls, dotted, imported

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6

CLOCK, IDS, CONFIG = "libs/common/clock.py", "libs/common/ids.py", "libs/common/config.py"
# Run where nothing of ours is installed: before the environment is made, or in one of other libraries.
BARE = ("ops/bootstrap.py", "bench/peers")
# Verifies proofs for people who trust nothing of ours: it stands alone, the kernel included.
ALONE = ("ops/proof",)
# The operator's tools measure how long their own steps take; that decides nothing and is kept nowhere.
STEPS = ("ops",)

_TIME_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
_TIME_IMPORTS = {f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")}
_ID_IMPORTS = {"uuid.uuid1", "uuid.uuid4", "uuid_utils.uuid7", "uuid_utils.compat.uuid7", "uuid_utils.uuid4"}
_ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}


def only_the_database_commits(source: Source) -> Iterator[str]:
    """One transaction boundary: nothing outside libs/common/db commits or rolls back."""
    if source.within("libs/common/db") or source.is_test:
        return
    for node, name in calls(source):
        if name.rpartition(".")[2] in {"commit", "rollback"} and "." in name and not node.args:
            yield f"{node.lineno}: {name}(): leave it to Database.transaction"


def only_the_clock_reads_time(source: Source) -> Iterator[str]:
    """Time comes from libs/common/clock."""
    if source.within(CLOCK, *BARE, *ALONE) or source.is_test:
        return
    for node, name in calls(source):
        if ".".join(name.split(".")[-2:]) in _TIME_CALLS | _TIME_IMPORTS:
            yield f"{node.lineno}: {name}(): take the time from libs.common.clock, or have it passed in"
    for statement, name in imported(source):
        if name in _TIME_IMPORTS and not (name == "time.monotonic" and source.within(*STEPS)):
            yield f"{statement.lineno}: {name}: take the time from libs.common.clock"


def only_ids_makes_identifiers(source: Source) -> Iterator[str]:
    """Identifiers come from libs/common/ids."""
    if source.within(IDS) or source.is_test:
        return
    for statement, name in imported(source):
        if name in _ID_IMPORTS:
            yield f"{statement.lineno}: {name}: take identifiers from libs.common.ids"
    for node, name in calls(source):
        if name in _ID_IMPORTS:
            yield f"{node.lineno}: {name}(): take identifiers from libs.common.ids"


def only_config_reads_the_environment(source: Source) -> Iterator[str]:
    """Settings come from libs/common/config."""
    if source.within(CONFIG, *BARE) or source.is_test:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in _ENVIRONMENT:
            yield f"{node.lineno}: {dotted(node)}: declare a setting instead"
    for statement, name in imported(source):
        if name in _ENVIRONMENT:
            yield f"{statement.lineno}: {name}: declare a setting instead"


def nothing_prints(source: Source) -> Iterator[str]:
    """Services log; commands speak through the console."""
    if source.within(*BARE):
        return
    for node, name in calls(source):
        if name == "print":
            yield f"{node.lineno}: print(): log it, or use ops.console"


def files_are_small(source: Source) -> Iterator[str]:
    """A file over the limit becomes a folder of the same name."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"1: {lines} lines, {FILE_LINES_MAX} at most: make it a folder"


def functions_are_small(source: Source) -> Iterator[str]:
    """Functions have a limit of lines, and of parameters that are given by position."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES_MAX} at most"
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args) if each.arg not in {"self", "cls"}]
        if len(names) > PARAMETERS_MAX and not source.is_test:
            yield f"{node.lineno}: {node.name} takes {len(names)} parameters, {PARAMETERS_MAX} at most by position"


def routes_declare_a_policy(source: Source) -> Iterator[str]:
    """Each route says who may call it, and none goes around the kernel."""
    # The gateway is no service: its few pages stand behind rules that it compiles for itself. And what is ours is measured
    # against bare applications.
    bare = ("bench/requests.py", "bench/gateway/checking.py")
    if source.within("libs/common/http", "gateway/pages.py", "gateway/challenges.py", *bare) or source.is_test:
        return
    for node, name in calls(source):
        last = name.rpartition(".")[2]
        if last in {"add_url_rule", "route"} or name in {"Flask", "Blueprint", "flask.Flask", "flask.Blueprint"}:
            yield f"{node.lineno}: {name}(): declare routes with libs.common.http.Routes"
        if name.startswith("routes.") and not any(keyword.arg == "allow" for keyword in node.keywords):
            yield f"{node.lineno}: {name}() says nothing about who may call it"


def doors_know_no_statements(source: Source) -> Iterator[str]:
    """Routes, schemas, subscriptions, jobs and measures build no SQL; the type of a row is all they may name."""
    doors = {"routes", "schemas", "subscriptions", "jobs", "measures"}
    if source.path.parts[0] != "services" or source.is_test or not doors & {*source.path.parts, source.path.stem}:
        return
    for statement, name in imported(source):
        if name.startswith("sqlalchemy") and name != "sqlalchemy.Row":
            yield f"{statement.lineno}: {name}: ask through queries.py, write through use_cases.py"


def tests_do_not_sleep(source: Source) -> Iterator[str]:
    """A test waits for a condition with a deadline: a sleep stands inside a loop that looks again."""
    if not source.path.stem.startswith("test_"):
        return
    looping = {id(node) for loop in ast.walk(source.tree) if isinstance(loop, ast.While) for node in ast.walk(loop)}
    for node, name in calls(source):
        if name in {"time.sleep", "sleep"} and id(node) not in looping:
            yield f"{node.lineno}: {name}(): wait for a condition with a deadline"


RULES = (
    only_the_database_commits,
    only_the_clock_reads_time,
    only_ids_makes_identifiers,
    only_config_reads_the_environment,
    nothing_prints,
    files_are_small,
    functions_are_small,
    routes_declare_a_policy,
    doors_know_no_statements,
    tests_do_not_sleep,
)
