"""The generated documents: valid, complete, and drawn from the routes alone."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from libs.common.auth.policy import Access, Role, UndeclaredPolicy
from libs.common.http.manifest import manifest
from libs.common.http.models import NoContent
from libs.common.http.openapi import openapi
from libs.common.http.routes import Routes
from libs.common.tests.conftest import routes


def test_the_openapi_document_is_valid_and_says_who_may_call_what() -> None:
    document = openapi("sample", "1", routes.routes)

    OpenAPIV31SpecValidator(document).validate()
    create = document["paths"]["/api/v1/notes"]["post"]
    assert create["x-roles"] == ["ADMIN", "ARTIST"]
    assert create["security"] == [{"bearer": []}, {"dpop": []}]
    assert {name: value for name, value in create.items() if name.startswith("x-")} == {
        "x-roles": ["ADMIN", "ARTIST"],
        "x-rate-class": "write",
        "x-body-limit": 32_768,
        "x-timeout": 15,
        "x-idempotency": "accepted",
    }
    assert document["paths"]["/api/v1/greeting"]["get"]["security"] == []
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteInput"}
    assert create["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteView"}


@pytest.mark.parametrize("policy", [{}, {"allow": ()}, {"allow": None}, {"allow": {"ADMIN"}}])
def test_a_route_without_a_policy_does_not_start_and_is_named_by_file_and_line(policy: dict[str, Any]) -> None:
    def read() -> NoContent:
        """Read it."""
        return NoContent()

    line = read.__code__.co_firstlineno

    with pytest.raises(UndeclaredPolicy, match=rf"^libs/common/tests/test_documents\.py:{line}: GET /thing: "):
        Routes("sample").get("/thing", **policy)(read)


def test_step_up_and_streaming_are_written_into_the_document() -> None:
    declared = Routes("sample")

    @declared.post("/fresh", allow=Role.ADMIN, step_up=300, stream=True)
    def fresh() -> NoContent:
        """Do it."""
        return NoContent()

    operation = openapi("sample", "1", declared.routes)["paths"]["/api/v1/fresh"]["post"]
    assert (operation["x-step-up"], operation["x-stream"]) == (300, True)


def test_a_second_factor_and_an_enrolment_are_written_into_the_document() -> None:
    paths = openapi("sample", "1", routes.routes)["paths"]

    assert paths["/api/v1/fresh"]["delete"]["x-step-up-acr"] == "mfa"
    assert "x-step-up-acr" not in paths["/api/v1/fresh"]["post"]
    assert paths["/api/v1/enrolment"]["post"]["x-enrolment"] is True


def test_routes_for_services_are_in_the_manifest_and_in_no_public_document() -> None:
    entries = manifest("sample", routes.routes, ["web"])["routes"]

    assert [each["path"] for each in entries if each["allow"] == str(Access.SERVICE)] == ["/internal/list"]
    assert "/internal/list" not in openapi("sample", "1", routes.routes)["paths"]


def test_every_route_of_the_manifest_has_a_complete_policy() -> None:
    names = {
        "allow",
        "rate",
        "body_limit",
        "timeout",
        "stream",
        "page",
        "step_up",
        "step_up_acr",
        "enrolment",
        "idempotency",
        "consumes",
        "process",
        "source",
    }

    for entry in manifest("sample", routes.routes, ["web"])["routes"]:
        assert names <= set(entry)
        assert entry["allow"]
