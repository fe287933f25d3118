"""Who may call what: generated from the declarations themselves."""

import json
import re
from pathlib import Path

import pytest

from libs.common.auth.policy import Access, Role
from libs.common.http.manifest import manifest
from libs.common.http.routes import Route
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.tasks import app
from services.tasks.app import service


def path_of(route: Route) -> str:
    return re.sub(r"<[a-z_]+>", str(new_id()), route.path)


@pytest.mark.parametrize("route", service.declared_routes, ids=lambda route: route.operation)
def test_each_route_lets_in_exactly_whom_it_declares(harness: Harness, route: Route) -> None:
    anonymous = harness.client().open(path_of(route), method=route.method).status_code
    if route.allow.access is Access.CRON:
        assert anonymous == 404  # shut, and so not there
        return
    assert (anonymous == 401) == (route.allow.access is not Access.PUBLIC)
    for role in Role:
        status = harness.client(role).open(path_of(route), method=route.method).status_code
        allowed = route.allow.access is not None or role in route.allow.roles
        # A role that is refused hears 403 before anything else is looked at; one that is let in hears of its input.
        assert (status != 403) if allowed else (status == 403)
        assert status not in {401, 500, 503}


def test_the_committed_policy_is_what_the_routes_declare() -> None:
    committed = json.loads((Path(app.__file__).parent / "policy.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(manifest(service.name, service.declared_routes, service.processes)))
