"""Environment → frozen, typed settings. All faults are named at once; a value is never printed.

The only reader of the process environment. A variable `NAME` may be given as `NAME_FILE`, the path of a file that holds it, or
as `NAME_VAULT`, where it stands in Vault.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from libs.common import tls
from libs.common.addresses import BrokerUrl, DatabaseUrl
from libs.common.vault import Access, VaultReader, VaultRefused

SECRET_LENGTH_MIN = 32
DOOR_SECRET_LENGTH_MIN: Final = 16
"""Characters that the secret of a door for machines (cron, webhooks) has at least; with a shorter one the door stays shut."""
PLACEHOLDER = re.compile(r"change[-_ ]?me|placeholder|example|your[-_ ]|replace|<.*>|^x+$|^(.)\1*$|todo", re.IGNORECASE)

RETENTION_DAYS_MIN: Final = 30
RETENTION_DAYS_MAX: Final = 3_650
RETENTION_DAYS_DEFAULT: Final = 90

TEMPLATE_MARK: Final = "change-me"
"""Stands in deploy/env.template where a value must be filled in; a process that reads it does not start."""

Environment = Literal["development", "test", "production"]


class ConfigurationError(Exception):
    """The environment does not allow a start. The message names every variable at fault and what it must be."""


def _strong(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < SECRET_LENGTH_MIN:
        raise ValueError(f"must have at least {SECRET_LENGTH_MIN} characters")
    if PLACEHOLDER.search(text) and not PLACEHOLDER.sub("", text).strip():
        raise ValueError("is a placeholder; generate a random value")
    if len(set(text)) < 8 or re.search(
        r"change[-_ ]?me|placeholder|your[-_ ]secret|replace[-_ ](me|this)", text, re.IGNORECASE
    ):
        raise ValueError("is a placeholder; generate a random value")
    return value


def door_secret(given: SecretStr | None) -> str | None:
    """The secret that opens a door for machines; None when the door stays shut, because it is unset or too short."""
    text = given.get_secret_value() if given else ""
    return text if len(text) >= DOOR_SECRET_LENGTH_MIN else None


def _listed(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Mocks = Annotated[frozenset[Literal["mail", "payments"]], BeforeValidator(_listed)]
"""Names of stand-ins for providers, with commas."""


Secret = Annotated[SecretStr, AfterValidator(_strong)]
Port = Annotated[int, Field(ge=1, le=65_535)]


ENVIRONMENT_PURPOSE: Final = "Which rules hold: production is the strictest"
CRON_DOOR: Final = "Opens POST /cron/<job> to who knows it"
CRON_DOOR_SHUT: Final = "unset or under 16 characters: the cron door is shut; due jobs run all the same"


class Settings(BaseModel):
    """Base of every settings class. A field is the environment variable of the same name in upper case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


def without(consequence: str, *, secret: bool = False) -> dict[str, Any]:
    """What a `Field` says as `json_schema_extra`: what is degraded where the variable is not set.

    `secret` marks a value that holds secrets although its type is not `SecretStr`.
    """
    return {"without": consequence, "secret": secret}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, as a settings class declares it."""

    name: str
    purpose: str
    secret: bool
    required: bool
    default: object
    """None also where it is required."""
    without: str
    """What is degraded where it is not set; empty where it is required or has a default that serves."""


def variables(cls: type[Settings]) -> list[Variable]:
    """Every variable that a settings class reads, in the order of declaration."""
    return [_variable(name.upper(), field) for name, field in cls.model_fields.items()]


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_holds(each, kind) for each in get_args(annotation))


def _variable(name: str, field: FieldInfo) -> Variable:
    said = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Variable(
        name=name,
        purpose=field.description or "",
        secret=_holds(field.annotation, SecretStr) or bool(said.get("secret")),
        required=field.is_required(),
        default=None if field.is_required() else field.default,
        without=str(said.get("without", "")),
    )


class VaultSettings(Settings):
    """Where Vault is, for variables that are given as NAME_VAULT."""

    vault_addr: str = Field(pattern=r"^https?://[^/]+$", description="Base address of Vault or OpenBao")
    vault_token: SecretStr | None = Field(
        default=None,
        description="A token, such as an agent writes into the file of VAULT_TOKEN_FILE",
        json_schema_extra=without("VAULT_ROLE_ID and VAULT_SECRET_ID are needed"),
    )
    vault_role_id: str | None = Field(
        default=None, description="AppRole to sign in as", json_schema_extra=without("VAULT_TOKEN is needed")
    )
    vault_secret_id: SecretStr | None = Field(
        default=None, description="Secret of that AppRole", json_schema_extra=without("VAULT_TOKEN is needed")
    )
    vault_namespace: str | None = Field(
        default=None, description="Namespace of Vault", json_schema_extra=without("the root namespace is asked")
    )
    vault_cacert: Path | None = Field(
        default=None,
        description="PEM file of the authorities that Vault's certificate is checked against",
        json_schema_extra=without("those of the system are taken"),
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.vault_token is None and (self.vault_role_id is None or self.vault_secret_id is None):
            raise ValueError("VAULT_TOKEN is required, or VAULT_ROLE_ID and VAULT_SECRET_ID")
        return self

    def reader(self) -> VaultReader:
        """Who reads there."""
        return VaultReader(
            Access(
                self.vault_addr,
                self.vault_token.get_secret_value() if self.vault_token else None,
                self.vault_role_id,
                self.vault_secret_id.get_secret_value() if self.vault_secret_id else None,
                self.vault_namespace,
                self.vault_cacert,
            )
        )


class InnerTls(Settings):
    """How this process speaks with the platform's other processes and servers."""

    tls_authority: Path | None = Field(
        default=None,
        description="PEM file of the authority that signs the certificates of servers inside",
        json_schema_extra=without("servers inside are verified by what the system trusts"),
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of this process's own certificate and key: it serves and shows it, and asks every caller for one",
        json_schema_extra=without("the platform's processes speak plain HTTP to each other, inside its networks"),
    )

    @model_validator(mode="before")
    @classmethod
    def _addresses_know_the_authority(cls, given: Any) -> Any:
        """Tell addresses that ask for TLS which files it takes, so that nobody who is handed one needs to know more."""
        if not isinstance(given, Mapping):
            return given
        completed = dict(given)
        files = [Path(given[name]) if given.get(name) else None for name in ("tls_authority", "tls_certificate")]
        for name, complete in tls.COMPLETED.items():
            if name in cls.model_fields and completed.get(name):
                completed[name] = complete(_plain(completed[name]), *files)
        return completed

    @model_validator(mode="after")
    def _production_is_verified(self) -> Self:
        """In production nothing passes a network unless TLS verified who is at its other end."""
        if getattr(self, "lumiere_env", None) != "production":
            return self
        for name, fault_of in tls.JUDGED.items():
            address = getattr(self, name, None)
            if address is not None and (fault := fault_of(_plain(address))):
                raise ValueError(f"{name.upper()} {fault}")
        return self

    @model_validator(mode="after")
    def _mutual_needs_an_authority(self) -> Self:
        if self.tls_certificate is not None and self.tls_authority is None:
            raise ValueError("TLS_CERTIFICATE needs TLS_AUTHORITY, the PEM file of the authority that callers are verified by")
        return self


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


class ServiceSettings(InnerTls):
    """What every service reads from its environment."""

    lumiere_env: Environment = Field(default="development", description=ENVIRONMENT_PURPOSE)
    lumiere_origin: str = Field(
        default="http://127.0.0.1:8080", pattern=r"^https?://[^/]+$", description="Public base address; the token issuer"
    )
    audience: str = Field(default="lumiere", description="Whom access tokens are for; the same in every process")
    lumiere_revision: str = Field(
        default="",
        description="The code that runs: all replicas have the same",
        json_schema_extra=without("`lumiere doctor` cannot tell whether all replicas run the same code"),
    )
    database_url: DatabaseUrl = Field(description="Postgres, as the service's runtime role")
    migration_database_url: DatabaseUrl | None = Field(
        default=None,
        description="Postgres, as the service's migration role; for `migrate` alone",
        json_schema_extra=without("`migrate` takes DATABASE_URL, whose role may not change the schema, and is refused"),
    )
    amqp_url: BrokerUrl = Field(description="RabbitMQ, as the service's own user")
    host: str = Field(default="127.0.0.1", description="Address that the process listens on")
    port: Port = Field(default=8000, description="Port that the process listens on")
    auth_url: str = Field(
        default="http://auth:8000", pattern=r"^https?://[^/]+$", description="Base address of auth inside the network"
    )
    revocation_list_token: Secret = Field(description="Bearer that services present to auth for the revocation list")
    cron_secret: SecretStr | None = Field(default=None, description=CRON_DOOR, json_schema_extra=without(CRON_DOOR_SHUT))
    notify_public_key: str = Field(
        description="X25519 public key of notify, base64: personal values in events are sealed to it"
    )
    mock_providers: Mocks = Field(
        default=frozenset(),
        description="Stand-ins that may take the place of a provider in production, with commas: mail, payments",
        json_schema_extra=without("in production none may, and what has no provider does not start"),
    )
    sentry_dsn: SecretStr | None = Field(
        default=None,
        description="Where errors are reported to",
        json_schema_extra=without("errors are told by the log alone"),
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="Base address of an OTLP collector that takes traces over HTTP",
        json_schema_extra=without("no traces are exported; ids of requests still correlate the logs"),
    )
    trace_sample_ratio: float = Field(
        default=0.1, ge=0, le=1, description="Share of requests that are traced when the caller does not say"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe lines in the log")
    event_retention_days: int = Field(
        default=RETENTION_DAYS_DEFAULT,
        ge=RETENTION_DAYS_MIN,
        le=RETENTION_DAYS_MAX,
        description="Days for which published events stay in the archive",
    )
    web_threads: int = Field(default=8, ge=1, le=64, description="Requests that one process answers at a time")
    drain_seconds: float = Field(default=3, ge=0, le=60, description="From not ready to stopping, so that the gateway notices")

    @property
    def production(self) -> bool:
        """Whether the strict rules of production hold."""
        return self.lumiere_env == "production"

    @model_validator(mode="after")
    def _production_is_https(self) -> Self:
        if self.production and not self.lumiere_origin.startswith("https://"):
            raise ValueError("LUMIERE_ORIGIN must begin with https:// in production")
        return self


S = TypeVar("S", bound=Settings)


def load(cls: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read `cls` from the environment. Raises ConfigurationError that names every fault at once."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    faults: list[str] = []
    source = _Source(environ)
    for name in cls.model_fields:
        try:
            value = source.read(name.upper())
        except OSError as error:
            faults.append(f"{name.upper()}_FILE cannot be read: {error.strerror}")
            values[name] = _Unreadable
            continue
        except VaultRefused as refused:
            faults.append(f"{name.upper()}_VAULT cannot be read: {refused}")
            values[name] = _Unreadable
            continue
        if value and TEMPLATE_MARK in value.lower():
            faults.append(f"{name.upper()} still holds the placeholder of deploy/env.template; fill it in, or leave it out")
            value = None
            values[name] = _Unreadable
        if value:
            values[name] = value
    source.close()
    unreadable = {name for name, value in values.items() if value is _Unreadable}
    try:
        settings = cls.model_validate({name: value for name, value in values.items() if name not in unreadable})
    except ValidationError as error:
        faults += [
            _sentence(item)
            for item in error.errors(include_input=False, include_url=False)
            if not unreadable & set(map(str, item["loc"]))
        ]
        raise ConfigurationError(_message(cls, faults)) from None
    if faults:
        raise ConfigurationError(_message(cls, faults))
    return settings


class _Unreadable:
    """Marks a variable whose fault is named already."""


class _Source:
    """Where values come from: the environment itself, files, and Vault."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._vault: VaultReader | None = None

    def read(self, variable: str) -> str | None:
        """The value, or None. Raises OSError, VaultRefused, ConfigurationError."""
        if variable in self._environ:
            return self._environ[variable]
        if path := self._environ.get(f"{variable}_FILE"):
            return Path(path).read_text(encoding="utf-8").strip()
        reference = self._environ.get(f"{variable}_VAULT")
        if not reference:
            return None
        if self._vault is None:
            settings = load(VaultSettings, self._environ)
            plain = settings.vault_addr.startswith("http:") and tls.leaves_machine(settings.vault_addr)
            if plain and self._environ.get("LUMIERE_ENV") == "production":
                raise VaultRefused(
                    "VAULT_ADDR must begin with https:// in production: every secret would pass a network in clear"
                )
            self._vault = settings.reader()
        return self._vault.field(reference).strip()

    def close(self) -> None:
        """Let Vault go."""
        if self._vault is not None:
            self._vault.close()


def _sentence(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"{where} is required (or {where}_FILE, the path of a file that holds it, or {where}_VAULT, its place in Vault)"
    message = item["msg"].removeprefix("Value error, ")
    return f"{where} {message[:1].lower()}{message[1:]}".strip() if where else message


def _message(cls: type[Settings], faults: list[str]) -> str:
    lines = "\n".join(f"  - {fault}" for fault in faults)
    return f"{cls.__module__} cannot start; mend the environment:\n{lines}"


def process_environment() -> dict[str, str]:
    """A copy of the process environment, for handing on to child processes."""
    return dict(os.environ)
