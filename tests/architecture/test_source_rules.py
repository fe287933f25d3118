"""The rules of the source, each on the real tree and on a planted violation."""

import pytest

from tests.architecture import rules
from tests.architecture.source import Rule, parse, repository, violations

LONG_FUNCTION = "def long():\n" + "    pass\n" * rules.FUNCTION_LINES_MAX
FULL_FUNCTION = "def full():\n" + "    pass\n" * (rules.FUNCTION_LINES_MAX - 1)

PLANTED: list[tuple[Rule, str, str]] = [
    (rules.only_the_database_commits, "services/tasks/use_cases.py", "session.commit()"),
    (rules.only_the_database_commits, "libs/common/events/relay.py", "self.connection.rollback()"),
    (rules.only_the_clock_reads_time, "services/tasks/use_cases.py", "from datetime import datetime\ndatetime.now(UTC)"),
    (rules.only_the_clock_reads_time, "services/tasks/use_cases.py", "import datetime\ndatetime.datetime.utcnow()"),
    (rules.only_the_clock_reads_time, "gateway/keys.py", "import time\ntime.time()"),
    (rules.only_the_clock_reads_time, "services/tasks/jobs.py", "from time import monotonic"),
    (rules.only_the_clock_reads_time, "ops/demo.py", "from time import time"),
    (rules.only_ids_makes_identifiers, "services/tasks/use_cases.py", "from uuid import uuid4"),
    (rules.only_ids_makes_identifiers, "services/tasks/use_cases.py", "import uuid\nuuid.uuid4()"),
    (rules.only_ids_makes_identifiers, "gateway/keys.py", "from uuid_utils.compat import uuid7"),
    (rules.only_config_reads_the_environment, "services/tasks/app.py", "import os\nos.environ['HOME']"),
    (rules.only_config_reads_the_environment, "ops/cli.py", "from os import getenv"),
    (rules.nothing_prints, "services/tasks/use_cases.py", "print('here')"),
    (rules.files_are_small, "services/tasks/use_cases.py", "x = 1\n" * (rules.FILE_LINES_MAX + 1)),
    (rules.functions_are_small, "services/tasks/use_cases.py", LONG_FUNCTION),
    (rules.functions_are_small, "services/tasks/use_cases.py", "def f(a, b, c, d, e, f, g): ..."),
    (rules.functions_are_small, "services/tasks/use_cases.py", "class A:\n    async def f(self, a, b, c, d, e, f, g): ..."),
    (rules.routes_declare_a_policy, "services/tasks/routes.py", "@routes.get('/tasks')\ndef tasks(): ..."),
    (rules.routes_declare_a_policy, "services/tasks/routes.py", "@app.route('/tasks')\ndef tasks(): ..."),
    (rules.routes_declare_a_policy, "services/tasks/app.py", "app = Flask(__name__)"),
    (rules.doors_know_no_statements, "services/tasks/routes.py", "from sqlalchemy import select"),
    (rules.doors_know_no_statements, "services/tasks/routes/films.py", "import sqlalchemy"),
    (rules.tests_do_not_sleep, "services/tasks/tests/test_claims.py", "import time\ntime.sleep(1)"),
]

ALLOWED: list[tuple[Rule, str, str]] = [
    (rules.only_the_database_commits, "libs/common/db/database.py", "connection.commit()"),
    (rules.only_the_clock_reads_time, "libs/common/clock.py", "time.time()"),
    (rules.only_ids_makes_identifiers, "libs/common/ids.py", "from uuid_utils.compat import uuid7"),
    (rules.only_config_reads_the_environment, "libs/common/config.py", "os.environ"),
    (rules.files_are_small, "services/tasks/use_cases.py", "x = 1\n" * rules.FILE_LINES_MAX),
    (rules.functions_are_small, "services/tasks/use_cases.py", FULL_FUNCTION),
    (rules.functions_are_small, "services/tasks/use_cases.py", "def f(a, b, c, d, e, f, *, g): ..."),
    (rules.routes_declare_a_policy, "services/tasks/routes.py", "@routes.get('/tasks', allow=PUBLIC)\ndef tasks(): ..."),
    (rules.doors_know_no_statements, "services/tasks/queries.py", "from sqlalchemy import select"),
    (rules.tests_do_not_sleep, "services/tasks/tests/test_claims.py", "while not done():\n    time.sleep(0.01)"),
]


def test_there_is_source_to_look_at() -> None:
    assert len(repository()) > 100


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps_the_rule(rule: Rule) -> None:
    assert violations(rule) == []


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_violation_is_found(rule: Rule, path: str, text: str) -> None:
    assert violations(rule, (parse(text, path),))


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_allowed_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert violations(rule, (parse(text, path),)) == []


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(rules.RULES)
