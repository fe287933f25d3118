"""By what auth knows a client: a hash that the gateway makes, for the doors where credentials are given."""

import re

import httpx

from gateway.tests.running import RunningGateway


def test_where_credentials_are_given_the_service_is_told_the_clients_hash_and_nobody_can_make_it_up(
    client: httpx.Client,
) -> None:
    made_up = {"X-Auth-Client": "0" * 64, "X_Auth_Client": "0" * 64}

    told = [client.post("/api/v1/login", json={}, headers=headers).json()["headers"] for headers in ({}, made_up)]

    assert re.fullmatch("[0-9A-F]{64}", told[0]["x-auth-client"])
    assert [each["x-auth-client"] for each in told] == [told[0]["x-auth-client"]] * 2
    assert "0" * 64 not in told[1].values()


def test_elsewhere_no_service_is_told_the_clients_hash(client: httpx.Client, shared: RunningGateway) -> None:
    assert "x-auth-client" not in client.get("/api/v1/mine", headers=shared.bearer()).json()["headers"]
