"""What the compiler refuses, each planted, and what it makes of what it takes."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import limits
from gateway.compiler import POLICY_FILE, compile_configuration
from gateway.door import Door, TargetError
from gateway.folder import Folder
from gateway.haproxy import validate
from gateway.keys import verification_keys
from gateway.manifest import ManifestError, manifest_paths, read
from gateway.policy_commands import check
from gateway.rules import declared
from gateway.tests.running import ROUTES, RunningGateway, route

DOOR = Door("https://lumiere.test", "lumiere", "production", "127.0.0.1", 8080, b"a secret")
TODAY = date(2026, 1, 31)
UUIDS = {"thing_id": "uuid"}


def written(folder: Path, service: str, routes: list[dict[str, Any]], **changes: Any) -> Path:
    """A manifest file."""
    path = folder / "services" / service / "policy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"service": service, "processes": ["web"], "routes": routes, **changes}), encoding="utf-8")
    return path


def compiled(*manifests: Path, door: Door = DOOR, targets: Any = None) -> dict[str, bytes]:
    """The files made of these manifests."""
    return compile_configuration(read(manifests), door, (), targets or {}, TODAY)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown role": ({"allow": ["KING"]}, "allow: Input should be"),
    "an empty set of roles": ({"allow": []}, "allow: Tuple should have at least 1 item"),
    "an unknown access": ({"allow": "everybody"}, "allow: Input should be 'public', 'signed_in', 'service' or 'cron'"),
    "an unknown rate class": ({"rate": "often"}, "rate: Input should be"),
    "an unknown method": ({"method": "BREW"}, "method: Input should be"),
    "a negative body limit": ({"body_limit": -1}, "body_limit: "),
    "a step-up of no time at all": ({"step_up": 0, "allow": "signed_in"}, "step_up: "),
    "a step-up of more than a day": ({"step_up": 86_401, "allow": "signed_in"}, "step_up: "),
    "a second factor at no time at all": ({"step_up_acr": "mfa", "allow": "signed_in"}, "step_up_acr comes with step_up"),
    "an assurance that nobody knows": ({"step_up": 60, "step_up_acr": "x", "allow": "signed_in"}, "step_up_acr: "),
    "an enrolment for a role": ({"enrolment": True, "allow": ["ADMIN"]}, "enrolment is for routes"),
    "a step-up where nobody signs in": ({"step_up": 60}, "step_up is for routes that a person signs in for"),
    "a body limit that is text": ({"body_limit": "1"}, "body_limit: "),
    "no time at all": ({"timeout": 0}, "timeout: "),
    "a parameter that is not declared": ({"path": "/api/v1/x/{y}"}, "path names the parameters ['y'] but declares []"),
    "a declared parameter that is not there": (
        {"parameters": {"y": "uuid"}},
        "path names the parameters [] but declares ['y']",
    ),
    "an unknown kind of parameter": ({"path": "/x/{y}", "parameters": {"y": "float"}}, "parameters: Input should be"),
    "a parameter in the middle of a segment": (
        {"path": "/x/a{y}", "parameters": {"y": "int"}},
        "whole literal or {parameter} segments",
    ),
    "a path parameter that is not last": ({"path": "/x/{y}/z", "parameters": {"y": "path"}}, "kind path must be the last"),
    "a path with an encoded letter": ({"path": "/%61"}, "whole literal"),
    "a path that ends with a slash": ({"path": "/x/"}, "whole literal"),
    "a path with dot segments": ({"path": "/x/../y"}, "dot segments"),
    "a path with a line break": ({"path": "/x\ny"}, "whole literal"),
    "a member that nobody here knows": ({"alow": "public"}, "alow: Extra inputs are not permitted"),
    "a body that a service could not hold": ({"body_limit": limits.UNSTREAMED_BODY_MAX + 1}, "declare stream=True or rate"),
    "an operation that could be a rule": ({"operation": "a.b|web|public"}, "operation: "),
    "a process that the service does not have": ({"process": "stream"}, "the service has no process 'stream'; it has web"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_faulty_route_is_refused_by_file_and_name(fault: str, tmp_path: Path) -> None:
    changes, expected = REFUSALS[fault]
    path = written(tmp_path, "echo", [{**route("GET", "/api/v1/thing", "public"), **changes}])

    with pytest.raises(ManifestError) as refused:
        compiled(path)

    assert str(refused.value).startswith("services/echo/policy.json:1: route ")
    assert expected in str(refused.value)
    assert "(services/echo/routes.py:anything)" in str(refused.value)


@pytest.mark.parametrize("field", ["allow", "rate", "body_limit", "timeout", "method", "path", "operation", "source"])
def test_a_route_without_its_policy_is_refused(field: str, tmp_path: Path) -> None:
    entry = route("GET", "/api/v1/thing", "public")
    del entry[field]

    with pytest.raises(ManifestError, match=f"{field}: Field required"):
        compiled(written(tmp_path, "echo", [entry]))


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    one = written(tmp_path, "echo", [route("GET", "/api/v1/a", ["KING"]), route("GET", "/api/v1/b", "public", rate="often")])
    two = written(tmp_path, "other", [route("GET", "/api/v1/c", "public", timeout=0)])
    three = written(
        tmp_path,
        "third",
        [
            route("GET", "/api/v1/d/{name}", "public", parameters={"name": "string"}),
            route("GET", "/api/v1/d/e", "public", process="worker"),
        ],
    )
    broken = tmp_path / "services" / "broken" / "policy.json"
    broken.parent.mkdir()
    broken.write_text('{"service": "broken",\n "routes": [}', encoding="utf-8")

    with pytest.raises(ManifestError) as refused:
        declared([one, two, three, broken, tmp_path / "services" / "gone" / "policy.json"])

    told = "\n".join(refused.value.faults)
    for each in ("GET /api/v1/a", "GET /api/v1/b", "GET /api/v1/c", "overlap", "no process 'worker'"):
        assert each in told
    assert "services/broken/policy.json:2: is no JSON" in told
    assert "services/gone/policy.json:1: cannot be read" in told


SOURCE = '''"""Doors."""


@routes.get(
    "/api/v1/thing",
    allow=PUBLIC,
)
def thing() -> Thing:
    """One."""
'''


def test_a_fault_names_the_line_of_the_declaration_in_the_source(tmp_path: Path) -> None:
    entry = route("GET", "/api/v1/thing", "public", rate="often", source="services/echo/routes.py:thing")
    path = written(tmp_path, "echo", [entry])
    path.with_name("routes.py").write_text(SOURCE, encoding="utf-8")

    with pytest.raises(ManifestError, match=r"^services/echo/routes\.py:4: route GET /api/v1/thing "):
        read([path])


def test_a_fault_names_the_line_in_the_manifest_when_the_source_says_nothing(tmp_path: Path) -> None:
    entries = [route("GET", f"/api/v1/{name}", "public") for name in ("a", "b", "c")]
    entries[2]["rate"] = "often"
    path = written(tmp_path, "echo", entries)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1), encoding="utf-8")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if '"/api/v1/c"' in text) - 2
    for source in (None, "def other(: broken", "def other(): ..."):
        if source is not None:
            path.with_name("routes.py").write_text(source, encoding="utf-8")

        with pytest.raises(ManifestError, match=rf"^services/echo/policy\.json:{line}: route GET /api/v1/c "):
            read([path])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "policy.json:1: is no JSON"),
        ("[]", "policy.json:1: Input should be an object"),
        ('{"service": "echo", "processes": []}', "policy.json:1: routes: Field required"),
        ('{"service": "echo", "processes": [], "routes": [7]}', "policy.json:1: route ? ?"),
        ('{"service": "echo", "processes": [], "routes": [], "x": 1}', "policy.json:1: x: Extra inputs"),
        ('{"service": "echo", "processes": [],\n "routes": [],\n "routes": []}', "policy.json:1: says routes more than once"),
    ],
)
def test_a_document_that_is_no_manifest_is_refused_by_line(text: str, fault: str, tmp_path: Path) -> None:
    path = written(tmp_path, "echo", [])
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ManifestError) as refused:
        read([path])

    assert fault in str(refused.value)


def test_a_route_that_says_who_may_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "echo", [route("GET", "/api/v1/a", "public"), route("GET", "/api/v1/b", ["ADMIN"])])
    path.write_text(path.read_text().replace('"allow": ["ADMIN"]', '"allow": ["ADMIN"],\n "allow": "public"'), encoding="utf-8")

    with pytest.raises(ManifestError, match=r"policy\.json:1: route GET /api/v1/b .*: says allow more than once"):
        read([path])


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_manifest_is_read_or_refused_by_file_and_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "services" / "echo" / "policy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

    with pytest.raises(ManifestError, match=r"^services/echo/policy\.json:\d+: "):
        read([path])


OVERLAPS = [
    (("GET", "/x/{thing_id}", UUIDS), ("GET", "/x/{name}", {"name": "string"})),
    (("GET", "/x/{name}", {"name": "string"}), ("GET", "/x/latest", {})),
    (("GET", "/x/{rest}", {"rest": "path"}), ("GET", "/x/y/z", {})),
    (("GET", "/x/{number}", {"number": "int"}), ("GET", "/x/7", {})),
    (("GET", "/x", {}), ("GET", "/x", {})),
]


@pytest.mark.parametrize(("left", "right"), OVERLAPS)
def test_overlapping_routes_are_refused_and_both_named(left: Any, right: Any, tmp_path: Path) -> None:
    one, two = (
        written(tmp_path, service, [route(method, path, "public", parameters=parameters, operation=f"{service}.read")])
        for service, (method, path, parameters) in zip(("echo", "other"), (left, right), strict=True)
    )

    with pytest.raises(ManifestError) as refused:
        compiled(one, two)

    assert f"services/echo/policy.json:1: route GET {left[1]}" in str(refused.value)
    assert f"services/other/policy.json:1: route GET {right[1]}" in str(refused.value)


def test_a_literal_beside_a_parameter_that_it_looks_like_is_refused(tmp_path: Path) -> None:
    routes = [
        route("GET", "/x/7", "public", operation="echo.seven"),
        route("PUT", "/x/{number}", "public", parameters={"number": "int"}, operation="echo.put"),
    ]

    with pytest.raises(ManifestError, match="a literal looks like the other's parameter"):
        compiled(written(tmp_path, "echo", routes))


def test_routes_that_differ_by_method_kind_or_length_do_not_overlap(tmp_path: Path) -> None:
    routes = [
        route("GET", "/x/{thing_id}", "public", parameters=UUIDS, operation="echo.a"),
        route("GET", "/x/{number}", "public", parameters={"number": "int"}, operation="echo.b"),
        route("GET", "/x/latest", "public", operation="echo.c"),
        route("POST", "/x/{name}", "public", parameters={"name": "string"}, operation="echo.d"),
        route("GET", "/x/{thing_id}/y", "public", parameters=UUIDS, operation="echo.e"),
    ]

    assert b"GET:/x/{uuid} echo.a|" in compiled(written(tmp_path, "echo", routes))["maps/routes.map"]


def test_two_operations_of_one_name_and_two_manifests_of_one_service_are_refused(tmp_path: Path) -> None:
    twice = [route("GET", "/a", "public", operation="echo.a"), route("GET", "/b", "public", operation="echo.a")]
    with pytest.raises(ManifestError, match=r"operations must be unique: echo\.a"):
        compiled(written(tmp_path, "echo", twice))

    one, two = written(tmp_path / "1", "same", []), written(tmp_path / "2", "same", [])
    with pytest.raises(ManifestError, match="a second manifest of service same"):
        compiled(one, two)


def test_a_service_cannot_send_requests_to_its_worker(tmp_path: Path) -> None:
    path = written(tmp_path, "echo", [route("GET", "/x", "public", process="worker")], processes=["worker"])

    with pytest.raises(ManifestError, match="process 'worker' takes no requests"):
        compiled(path)


def test_service_routes_are_not_in_the_configuration_at_all(tmp_path: Path) -> None:
    files = compiled(written(tmp_path, "echo", [route("GET", "/internal/list", "service")]))

    # Beside it lie the declarations themselves, for `lumiere gateway diff`.
    assert [name for name, content in files.items() if b"/internal/list" in content] == [POLICY_FILE]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:1 backup", "127.0.0.1:1\nserver evil 1.2.3.4:1", ":80", "", "http://x:1"]
)
def test_a_target_that_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        compiled(written(tmp_path, "echo", []), targets={"echo": {"web": [address]}})


def test_the_same_inputs_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    one, two = written(tmp_path, "echo", ROUTES, processes=["web", "stream"]), written(tmp_path, "other", [])

    assert compiled(one, two, targets={"echo": {"web": ["b:1", "a:1"]}}) == compiled(
        two, one, targets={"echo": {"web": ["a:1", "b:1"]}}
    )


def test_keys_are_chosen_by_kid_with_a_literal_algorithm(tmp_path: Path) -> None:
    published = [RunningGateway.key_of_tests(key_id).as_dict(private=False) for key_id in ("a", "b", 'evil" } #', "../c")]
    keys = verification_keys({"keys": [*published, {"kty": "oct", "kid": "d", "k": "c2VjcmV0"}]})

    files = compile_configuration(read([written(tmp_path, "echo", [])]), DOOR, keys, {}, TODAY)
    rules = [line for line in files["haproxy.cfg"].decode().splitlines() if "jwt_verify" in line]

    assert [key.key_id for key in keys] == ["a", "b"]
    assert len(rules) == 2
    assert all('jwt_verify("ES256","keys/' in rule and "{ var(req.algorithm) -m str ES256 }" in rule for rule in rules)
    assert files["maps/keys.map"] == b"a ES256\nb ES256\n"
    assert b"PRIVATE" not in b"".join(files.values())


def test_haproxy_takes_a_key_whose_id_begins_like_a_flag(tmp_path: Path) -> None:
    keys = verification_keys(
        {"keys": [RunningGateway.key_of_tests(each).as_dict(private=False) for each in ("-m", "--", "-l3")]}
    )
    folder = Folder(tmp_path / "gateway")

    validate(folder, folder.stage(compile_configuration(read([written(tmp_path, "echo", [])]), DOOR, keys, {}, TODAY)))

    assert [key.key_id for key in keys] == ["--", "-l3", "-m"]


def test_strict_transport_security_and_the_certificate_go_with_tls(tmp_path: Path) -> None:
    plain = compiled(written(tmp_path, "echo", []))["haproxy.cfg"].decode()
    manifest = tmp_path / "services" / "echo" / "policy.json"
    secure = compiled(manifest, door=replace(DOOR, certificate="/etc/tls.pem"))["haproxy.cfg"].decode()

    assert " ssl crt " not in plain
    assert "bind 127.0.0.1:8080 ssl crt /etc/tls.pem alpn h2,http/1.1\n" in secure


def test_what_the_services_declare_compiles_and_haproxy_takes_it() -> None:
    result = CliRunner().invoke(check)

    assert result.exit_code == 0, result.output or result.exception
    assert f"{len(manifest_paths())} manifests" in result.output


def test_an_idle_event_stream_holds_no_buffer_to_repeat_its_request_from(tmp_path: Path) -> None:
    stream = route("GET", "/api/v1/stream", "signed_in", rate="stream", stream=True, process="stream")
    routes = [route("GET", "/api/v1/x", "public"), stream]
    configuration = compiled(written(tmp_path, "echo", routes, processes=["web", "stream"]))["haproxy.cfg"].decode()
    backends = {part.split(maxsplit=1)[0]: part for part in configuration.split("\nbackend ")[1:]}

    assert "retry-on conn-failure\n" in backends["echo-stream"]
    assert "retry-on conn-failure empty-response\n" in backends["echo-web"]
