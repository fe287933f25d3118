"""The generated documents: valid, complete, and drawn from the routes alone."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from libs.common.auth.policy import Access
from libs.common.http.manifest import manifest
from libs.common.http.openapi import openapi
from libs.common.tests.conftest import routes


def test_the_openapi_document_is_valid_and_says_who_may_call_what() -> None:
    document = openapi("sample", "1", routes.routes)

    OpenAPIV31SpecValidator(document).validate()
    create = document["paths"]["/api/v1/notes"]["post"]
    assert create["x-roles"] == ["ADMIN", "ARTIST"]
    assert create["security"] == [{"bearer": []}]
    assert document["paths"]["/api/v1/greeting"]["get"]["security"] == []
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteInput"}
    assert create["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteView"}


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
        "idempotency",
        "consumes",
        "process",
        "source",
    }

    for entry in manifest("sample", routes.routes, ["web"])["routes"]:
        assert names <= set(entry)
        assert entry["allow"]
