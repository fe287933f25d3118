"""Request heads that programs could read in different ways, or that some would take and others refuse."""

import json

import pytest

from gateway import limits
from gateway.tests.running import RunningGateway
from gateway.tests.test_requests import get
from libs.common.service import web


def test_of_a_header_sent_twice_only_what_was_judged_is_taken(shared: RunningGateway) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    forged = 'x-","forged":"1'

    for target in ("/api/v1/echo", "/api/v1/nothing"):
        _, body = get(shared, target, "X-Request-Id: a-request-1", f"X-Request-Id: {forged}")
        assert "forged" not in json.loads(body)
        _, body = get(shared, target, f"traceparent: {trace}", f"traceparent: {forged}")
        assert b"forged" not in body

    assert "forged" not in shared.log


@pytest.mark.parametrize(("length", "status"), [(limits.ADDRESS_MAX, b"200"), (limits.ADDRESS_MAX + 1, b"414")])
def test_an_address_may_be_as_long_as_every_service_takes(length: int, status: bytes, shared: RunningGateway) -> None:
    head, body = get(shared, "/api/v1/echo?q=".ljust(length, "x"))

    assert head.split(b" ", 2)[1] == status
    assert status == b"200" or json.loads(body)["type"].endswith("/uri-too-long")


def test_a_service_takes_every_head_that_the_gateway_lets_through() -> None:
    assert len(f"OPTIONS {'x' * limits.ADDRESS_MAX} HTTP/1.1") <= web.REQUEST_LINE_MAX
    assert limits.HEADERS_MAX <= web.HEADER_MAX


def test_an_expectation_that_nobody_knows_is_ignored(shared: RunningGateway) -> None:
    _, body = get(shared, "/api/v1/echo", "Expect: a-miracle")
    assert "expect" not in json.loads(body)["headers"]

    _, body = get(shared, "/api/v1/echo", "Expect: 100-continue", "Expect: a-miracle")
    assert json.loads(body)["headers"]["expect"] == "100-continue"
