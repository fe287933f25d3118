"""Events and the envelope they travel in: CloudEvents 1.0, structured JSON mode."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, TypeVar
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from libs.common.events.personal import PLACEHOLDER, RECIPIENT, Personal, Recipient

MEDIA_TYPE: Final = "application/cloudevents+json"
SCHEMA_BASE: Final = "https://lumiere.film/events/"
FIRST_RELEASE: Final = "0.1.0"
SEQUENCE_DIGITS: Final = 20
SUBJECT_LENGTH_MAX: Final = 255
ATTRIBUTE_LENGTH_MAX: Final = 255

_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_SCHEMA: Final = re.compile(re.escape(SCHEMA_BASE) + r"(?P<type>[a-z0-9_.]+)/(?P<version>[1-9][0-9]{0,3})")

E = TypeVar("E", bound="Event")
EventClass: TypeAlias = type[E]


class MalformedEvent(ValueError):
    """A message is not an event of ours; the text names every fault and no value."""


class EventPart(BaseModel):
    """A value nested in an event: frozen, strict, no unknown field where it is produced."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        ser_json_timedelta="iso8601",
        ser_json_bytes="base64",
        # A text below a field is its meaning in the schema and in the event catalogue.
        use_attribute_docstrings=True,
    )


class Event(EventPart):
    """A fact that happened, in the past tense; published language, changed by addition only.

    Declared with class arguments: `type` is `<service>.<aggregate>.<fact>` and the routing key, `version` its major version,
    `aggregate` the field that identifies the aggregate. A base class that several facts share names none of the three.
    `since` is the release of the platform that first published it. `internal` facts are the platform's own affair, how it
    guards itself and its people: they are never offered to subscribers outside.
    """

    event_type: ClassVar[str] = ""
    event_version: ClassVar[int] = 0
    aggregate_field: ClassVar[str] = ""
    event_since: ClassVar[str] = FIRST_RELEASE
    event_internal: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        *,
        type: str = "",  # noqa: A002 - the CloudEvents name
        version: int = 0,
        aggregate: str = "",
        since: str = FIRST_RELEASE,
        internal: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        cls.event_type, cls.event_version, cls.aggregate_field, cls.event_since = type, version, aggregate, since
        if internal is not None:
            cls.event_internal = internal

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        given = (cls.event_type, cls.event_version, cls.aggregate_field)
        if any(given):
            _check_declaration(cls)
            _register(cls)

    @model_validator(mode="after")
    def _instants_are_aware(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError(f"{name} needs a time zone")
        return self

    @classmethod
    def service(cls) -> str:
        """The producer's name."""
        return cls.event_type.split(".", 1)[0]

    @classmethod
    def aggregate_type(cls) -> str:
        """`<service>.<aggregate>`: what sequences and ordered subscriptions are counted by."""
        return cls.event_type.rsplit(".", 1)[0]

    def aggregate_id(self) -> str:
        """The identity of the aggregate that the fact is about: the CloudEvents subject."""
        return str(getattr(self, type(self).aggregate_field))

    def personal_fields(self) -> dict[str, Personal[Any]]:
        """The personal values by field name."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if isinstance(value, Personal)}

    def wire_data(self, recipient: Recipient | None) -> dict[str, Any]:
        """The JSON of the fact; personal values are sealed to the recipient, or left out but for their commitment."""
        context = {RECIPIENT: recipient} if recipient else None
        return _parsed(self.model_dump_json(context=context))

    def golden_data(self) -> dict[str, Any]:
        """The JSON of the fact with fixed text for what is random in personal values."""
        return _parsed(self.model_dump_json(context={PLACEHOLDER: True}))


def _parsed(text: str) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(text)
    return data


def _check_declaration(cls: type[Event]) -> None:
    name = cls.__name__
    if not _TYPE.fullmatch(cls.event_type):
        raise TypeError(f"{name}: type must be <service>.<aggregate>.<fact> in lower case, for example tasks.task.validated")
    if cls.event_version < 1:
        raise TypeError(f"{name}: version must be a positive whole number")
    field = cls.model_fields.get(cls.aggregate_field)
    if field is None:
        raise TypeError(f"{name}: aggregate must name one of its fields: {', '.join(cls.model_fields)}")
    if not field.is_required():
        raise TypeError(f"{name}: the aggregate field {cls.aggregate_field} must be required")
    if not cls.__doc__:
        raise TypeError(f"{name}: say in a docstring what happened; it is the entry in the event catalogue")


_registry: dict[tuple[str, int], type[Event]] = {}


def _register(cls: type[Event]) -> None:
    key = (cls.event_type, cls.event_version)
    known = _registry.get(key)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"{cls.event_type} version {cls.event_version} is already {known.__module__}.{known.__qualname__}")
    _registry[key] = cls


def event_class(type: str, version: int) -> type[Event] | None:  # noqa: A002 - the CloudEvents name
    """The class of an event type, when its module has been imported."""
    return _registry.get((type, version))


def event_classes(service: str | None = None) -> Iterator[type[Event]]:
    """Every declared event, of one producer or of all, sorted by type and version."""
    for key in sorted(_registry):
        if service is None or _registry[key].service() == service:
            yield _registry[key]


def schema_address(type: str, version: int) -> str:  # noqa: A002 - the CloudEvents name
    """The `dataschema` of an event type."""
    return f"{SCHEMA_BASE}{type}/{version}"


def _sequence(value: object) -> object:
    if isinstance(value, str):
        if len(value) != SEQUENCE_DIGITS or not (value.isascii() and value.isdigit()):
            raise ValueError(f"must be {SEQUENCE_DIGITS} digits")
        return int(value)
    return value


def _full_match(pattern: re.Pattern[str], meaning: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {meaning}")
        return text

    return AfterValidator(check)


Attribute = Annotated[str, StringConstraints(min_length=1, max_length=ATTRIBUTE_LENGTH_MAX)]


class Envelope(BaseModel):
    """One event as it travels: the CloudEvents context attributes and the data."""

    # CloudEvents allows further extension attributes: what we do not know is ignored, never refused.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=True)

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: Annotated[str, _full_match(re.compile(r"/services/[a-z][a-z0-9_]*"), "/services/<name>")]
    type: Annotated[str, _full_match(_TYPE, "<service>.<aggregate>.<fact>")]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=SUBJECT_LENGTH_MAX)]
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Annotated[str, _full_match(_SCHEMA, f"{SCHEMA_BASE}<type>/<version>")]
    sequence: Annotated[int, BeforeValidator(_sequence), Field(ge=1, lt=2**63)]
    correlation_id: Attribute = Field(alias="correlationid")
    causation_id: Attribute | None = Field(default=None, alias="causationid")
    actor: Attribute | None = None
    traceparent: Attribute | None = None
    data: dict[str, Any]

    @model_validator(mode="after")
    def _speaks_of_one_type(self) -> Self:
        if self.source != f"/services/{self.service}":
            raise ValueError("source and type name different services")
        if not self.dataschema.startswith(f"{SCHEMA_BASE}{self.type}/"):
            raise ValueError("dataschema and type differ")
        return self

    @classmethod
    def decode(cls, body: bytes | str | memoryview) -> Self:
        """Parse structured JSON. Raises MalformedEvent with every fault and no value."""
        try:
            return cls.model_validate_json(bytes(body) if isinstance(body, memoryview) else body)
        except ValidationError as error:
            raise MalformedEvent(describe_faults(error)) from None

    def encode(self) -> bytes:
        """Structured JSON; optional attributes that have no value are absent."""
        optional = {"causationid": self.causation_id, "actor": self.actor, "traceparent": self.traceparent}
        attributes = {
            "specversion": self.specversion,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": self.datacontenttype,
            "dataschema": self.dataschema,
            "sequence": f"{self.sequence:0{SEQUENCE_DIGITS}d}",
            "correlationid": self.correlation_id,
            **{name: value for name, value in optional.items() if value is not None},
            "data": self.data,
        }
        return orjson.dumps(attributes, option=orjson.OPT_UTC_Z)

    @property
    def service(self) -> str:
        """The producer's name."""
        return self.type.split(".", 1)[0]

    @property
    def aggregate_type(self) -> str:
        """`<service>.<aggregate>`."""
        return self.type.rsplit(".", 1)[0]

    @property
    def version(self) -> int:
        """The major version of the event type."""
        return int(self.dataschema.rsplit("/", 1)[1])

    def event(self, cls: EventClass[E]) -> E:
        """The fact itself; fields added since `cls` was written are ignored.

        Raises MalformedEvent for another type, an unknown major version, or data of another shape.
        """
        if self.type != cls.event_type:
            raise MalformedEvent(f"is a {self.type}, not a {cls.event_type}")
        if self.version != cls.event_version:
            known = f"this consumer knows {cls.event_version}: upgrade the consumer"
            raise MalformedEvent(f"{self.type} has major version {self.version}, but {known}")
        try:
            return cls.model_validate_json(orjson.dumps(self.data), extra="ignore")
        except ValidationError as error:
            raise MalformedEvent(describe_faults(error)) from None


def describe_faults(error: ValidationError) -> str:
    """Every fault with its place and no value, since values may be personal."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or 'document'}: {fault['msg']}" for fault in faults)
