"""What a reviewer reads of a change of policy, and that what lets more in is marked."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.differences import differences
from gateway.manifest import Manifest, read
from gateway.tests.running import ROUTES, route


def declared(folder: Path, routes: list[dict[str, Any]]) -> tuple[Manifest, ...]:
    """The manifests of a service with these routes."""
    path = folder / "services" / "echo" / "policy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"service": "echo", "processes": ["web", "stream"], "routes": routes}), encoding="utf-8")
    return read([path])


PLAIN = route("POST", "/api/v1/things", ["ADMIN", "ARTIST"])
CHANGES: dict[str, tuple[dict[str, Any], list[tuple[str, bool]]]] = {
    "a role more": ({"allow": ["ADMIN", "ARTIST", "VIEWER"]}, [("roles gained: VIEWER", True)]),
    "a role less": ({"allow": ["ADMIN"]}, [("roles lost: ARTIST", False)]),
    "another role": ({"allow": ["ADMIN", "VIEWER"]}, [("roles gained: VIEWER", True), ("roles lost: ARTIST", False)]),
    "anybody": ({"allow": "public"}, [("for ADMIN, ARTIST → everybody", True)]),
    "anybody signed in": ({"allow": "signed_in"}, [("for ADMIN, ARTIST → anybody who is signed in", True)]),
    "nobody outside": ({"allow": "service"}, [("for ADMIN, ARTIST → services inside only", False)]),
    "a class with higher limits": (
        {"rate": "read"},
        [("rate class write → read: 120 → 600 a subject, 600 → 3000 an address, in 60 s", True)],
    ),
    "a class with lower limits": (
        {"rate": "credentials"},
        [("rate class write → credentials: 120 → 20 a subject, 600 → 30 an address, in 60 s", False)],
    ),
    "a longer body": ({"body_limit": 70_000}, [("body limit 32768 → 70000 bytes", True)]),
    "a shorter body": ({"body_limit": 10}, [("body limit 32768 → 10 bytes", False)]),
    "another timeout": ({"timeout": 30}, [("timeout 15 → 30 s", False)]),
    "a recent sign-in": ({"step_up": 300}, [("a sign-in within 300 s is needed now", False)]),
    "a second factor": (
        {"step_up": 300, "step_up_acr": "mfa"},
        [("a sign-in within 300 s is needed now", False), ("step up acr None → mfa", False)],
    ),
    "a stream": ({"stream": True}, [("stream no → yes", True)]),
    "another process": ({"process": "stream"}, [("process web → stream", False)]),
    "another media type": ({"consumes": ["text/csv"]}, [("consumes application/json → text/csv", False)]),
    "another place": ({"source": "services/echo/routes/more.py:anything"}, []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_in_words_and_marked_when_it_widens(change: str, tmp_path: Path) -> None:
    values, expected = CHANGES[change]

    found = differences(declared(tmp_path / "a", [PLAIN]), declared(tmp_path / "b", [{**PLAIN, **values}]))

    assert [(each.what, each.widens) for each in found] == expected
    back = differences(declared(tmp_path / "b", [{**PLAIN, **values}]), declared(tmp_path / "a", [PLAIN]))
    assert len(back) == len(expected)


def test_a_sign_in_that_is_no_longer_needed_and_one_that_may_be_older_widen(tmp_path: Path) -> None:
    five, ten, none = (declared(tmp_path / str(seconds), [{**PLAIN, "step_up": seconds}]) for seconds in (300, 600, None))

    assert [each.widens for each in differences(five, none)] == [True]
    assert [each.widens for each in differences(five, ten)] == [True]
    assert [each.widens for each in differences(ten, five)] == [False]


def test_routes_that_come_and_go_are_named_with_who_may(tmp_path: Path) -> None:
    before = declared(tmp_path / "a", [PLAIN])
    after = declared(tmp_path / "b", [route("GET", "/api/v1/other", "public"), route("GET", "/internal/x", "service")])

    found = {each.route: (each.what.split(",")[0], each.widens) for each in differences(before, after)}

    assert found == {
        "POST /api/v1/things": ("removed; it was for ADMIN", False),
        "GET /api/v1/other": ("added for everybody", True),
        "GET /internal/x": ("added for services inside only", False),
    }


def test_another_name_for_a_parameter_changes_nothing_and_another_kind_does(tmp_path: Path) -> None:
    one, named, kind = (
        declared(tmp_path / name, [route("GET", f"/x/{{{name}}}", "public", parameters={name: of}, operation="echo.x")])
        for name, of in (("a", "uuid"), ("b", "uuid"), ("c", "int"))
    )

    assert differences(one, named) == []
    assert len(differences(one, kind)) == 2


def test_a_policy_does_not_differ_from_itself(tmp_path: Path) -> None:
    assert differences(declared(tmp_path / "a", ROUTES), declared(tmp_path / "b", ROUTES)) == []
