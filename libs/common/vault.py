"""Secrets from HashiCorp Vault or OpenBao (KV version 2), read once when a process starts."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TIMEOUT_SECONDS: Final = 5
"""How long one answer of Vault is waited for."""
FORM: Final = "<mount>/<path>#<field>"


class VaultRefused(Exception):
    """A secret cannot be read. The message says why and never shows a value."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where Vault is and who we are there: by a token, or as an AppRole."""

    address: str
    token: str | None = None
    role_id: str | None = None
    secret_id: str | None = None
    namespace: str | None = None
    certificates: Path | None = None
    """PEM file of the authorities that Vault's certificate is checked against; None for the system's."""


class VaultReader:
    """Reads fields; logs in when the first is asked for, and asks for each path once."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: Any = None
        self._read: dict[tuple[str, str], Mapping[str, Any]] = {}

    def field(self, reference: str) -> str:
        """The value of `<mount>/<path>#<field>`. Raises VaultRefused."""
        place, _, name = reference.partition("#")
        mount, _, path = place.strip("/").partition("/")
        if not (mount and path and name):
            raise VaultRefused(f"it must have the form {FORM}")
        found = self._secret(mount, path).get(name)
        if not isinstance(found, str) or not found:
            raise VaultRefused(f"the secret at {mount}/{path} has no text in the field {name}")
        return found

    def close(self) -> None:
        """End the session of an AppRole: nothing is read after the start."""
        if self._client is not None:
            with suppress(Exception):
                self._client.logout(revoke_token=self._access.token is None)
            self._client.adapter.close()

    def _secret(self, mount: str, path: str) -> Mapping[str, Any]:
        import hvac.exceptions
        import requests

        if (mount, path) not in self._read:
            try:
                answer = self._signed_in().secrets.kv.v2.read_secret_version(
                    path, mount_point=mount, raise_on_deleted_version=True
                )
                self._read[mount, path] = answer["data"]["data"]
            except hvac.exceptions.InvalidPath:
                raise VaultRefused(f"there is no secret at {mount}/{path} (version 2 of KV), or it was deleted") from None
            except hvac.exceptions.Forbidden:
                raise VaultRefused(
                    f"Vault lets us not read {mount}/{path}: look at the policy, and whether the token lives"
                ) from None
            except (hvac.exceptions.VaultError, requests.RequestException, KeyError, TypeError) as error:
                raise VaultRefused(self._unavailable(error)) from None
        return self._read[mount, path]

    def _signed_in(self) -> Any:
        """A client with a token. Raises VaultRefused."""
        import hvac
        import hvac.exceptions

        if self._client is None:
            access = self._access
            verify = str(access.certificates) if access.certificates else True
            client = hvac.Client(access.address, namespace=access.namespace, timeout=TIMEOUT_SECONDS, verify=verify)
            # A proxy of the machine has no business between us and Vault.
            client.session.trust_env = False
            client.token = access.token
            if access.token is None:
                try:
                    client.auth.approle.login(role_id=access.role_id, secret_id=access.secret_id)
                except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
                    raise VaultRefused(
                        "Vault does not know VAULT_ROLE_ID with VAULT_SECRET_ID, or the latter is used up"
                    ) from None
            self._client = client
        return self._client

    def _unavailable(self, error: Exception) -> str:
        return f"Vault at {self._access.address} does not answer as it should ({type(error).__name__})"
