"""Manifests, settings, keys and targets → HAProxy's configuration and its map files.

A pure function: the same inputs give the same bytes.
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from gateway import challenges, limits, origins, paths, rules, sockets, tls
from gateway.access_log import formats
from gateway.answers import MAP, Answers
from gateway.door import ADDRESS, BULK_SUFFIX, Door, TargetError, Targets
from gateway.keys import VerificationKey
from gateway.manifest import GATEWAY, Manifest, Route, written
from gateway.peers import ALONE
from gateway.problems import ERRORS, SECURITY_HEADERS, error_file, problem
from gateway.rules import HTTP_PROCESSES
from gateway.servers import SPARE
from libs.common.auth.browser import COOKIE_PREFIX, SESSION_COOKIE, origin_of
from libs.common.auth.policy import CRON_HEADER, OWN_CLIENT, Access, Rate
from libs.common.auth.profile import LEEWAY_SECONDS, TOKEN_LENGTH_MAX, TOKEN_TYPE
from libs.common.config import Environment as Profile
from libs.common.errors import CHALLENGES, NOTHING_HERE
from libs.common.http.origins import OWN_SITES
from libs.common.pages import DEFAULT_LANGUAGE, ICON, KEPT_FOR_EVER, LANGUAGES, PAGE_POLICY, STYLESHEET, static

ADDRESS_KEY_DAYS = 3
STREAM_TIMEOUT_SECONDS = limits.BULK_SECONDS_MAX
POLICY_FILE = "policy.json"
"""What a release was compiled from."""

Routes = Sequence[tuple[Manifest, Route]]


@dataclass(frozen=True, slots=True)
class Backend:
    """One process of one service and its replicas."""

    name: str
    service: str
    process: str
    servers: tuple[tuple[str, str], ...]
    bulk: bool = False
    """Whether it is the lane of uploads and downloads: the same replicas, with places of their own."""

    @property
    def replicated(self) -> bool:
        """Whether one replica may be spared: the only one is never ejected."""
        return len(self.servers) > 1

    @property
    def stream(self) -> bool:
        """Whether it holds thousands of quiet connections rather than a few busy ones."""
        return self.process == "stream"

    @property
    def places(self) -> int:
        """Requests that all its replicas work on at once."""
        lane = limits.BULK_REQUESTS_MAX if self.bulk else limits.REPLICA_REQUESTS_MAX
        return len(self.servers) * (limits.STREAM_CONNECTIONS_MAX if self.stream else lane)

    @property
    def lane_of(self) -> str:
        """The backend whose health checks count for this one too."""
        return self.name.removesuffix(BULK_SUFFIX)


def compile_configuration(
    manifests: Sequence[Manifest],
    door: Door,
    keys: Sequence[VerificationKey],
    targets: Targets,
    today: date,
    candidate: Sequence[Manifest] | None = None,
) -> dict[str, bytes]:
    """File name → content. `candidate` is a policy that is tried beside the one in force. Raises ManifestError, TargetError."""
    rules.refuse(manifests)
    tried = None if candidate is None else _candidate(candidate)
    routes = [
        (manifest, route)
        for manifest in manifests
        for route in manifest.routes
        if route.exposed and (route.allow is not Access.CRON or door.cron_secret is not None)
    ]
    for broker, *_ in door.amqps.servers if door.amqps else ():
        if not ADDRESS.match(broker):
            raise TargetError(f"the broker must be host:port, which {broker!r} is not")
    backends = _backends(manifests, targets)
    shaped, free = _by_look_up(routes)
    answers = Answers()
    files = {
        "haproxy.cfg": _template(door, keys, backends, tried, answers),
        MAP: _lines(answers.lines()),
        POLICY_FILE: written(manifests),
        **{f"assets/{name}": static(name) for name in (STYLESHEET, ICON)},
        "maps/routes.map": _lines(
            f"{route.method}:{paths.shape(route)} {_policy(manifest, route)}" for manifest, route in shaped
        ),
        "maps/methods.map": _lines(f"{path} {allowed}" for path, allowed in _methods(shaped, paths.shape, routes)),
        "maps/patterns.map": _lines(
            f"^{route.method}:{paths.expression(route)[1:]} {_policy(manifest, route)}" for manifest, route in free
        ),
        "maps/pattern_methods.map": _lines(f"{path} {allowed}" for path, allowed in _methods(free, paths.expression, routes)),
        "maps/subject_limits.map": _limit_lines(door.profile, "subject"),
        "maps/address_limits.map": _limit_lines(door.profile, "address"),
        "maps/subject_at_once.map": _limit_lines(door.profile, "subject_at_once"),
        "maps/address_at_once.map": _limit_lines(door.profile, "address_at_once"),
        "maps/queues.map": _limit_lines(door.profile, "queue"),
        "maps/priorities.map": _lines(f"{rate} {limits.priority(rate)}" for rate in Rate),
        "maps/address_keys.map": _lines(
            f"{day.isoformat()} {_address_key(door.secret, day.isoformat())}"
            for day in (today + timedelta(n) for n in range(-1, ADDRESS_KEY_DAYS))
        ),
        **({"maps/origins.map": _lines(f"{each} {each}" for each in door.origins)} if door.origins else {}),
        "maps/keys.map": _lines(f"{key.key_id} {key.algorithm}" for key in keys),
        "non_canonical.lst": _lines(paths.NON_CANONICAL),
        "errors/400.http": error_file(400, door.certificate is not None),
        "errors/408.http": error_file(408, door.certificate is not None),
        **{f"keys/{key.file}": key.pem for key in keys},
    }
    if tried is not None:
        files |= _candidate_files(*tried)
    return dict(sorted(files.items()))


def _by_look_up(routes: Iterable[tuple[Manifest, Route]]) -> tuple[Routes, Routes]:
    """Those that are looked up by their shape, and those with free text, which take an expression each."""
    listed = list(routes)
    return [pair for pair in listed if paths.is_shaped(pair[1])], [pair for pair in listed if not paths.is_shaped(pair[1])]


def _candidate(manifests: Sequence[Manifest]) -> tuple[Routes, Routes]:
    """A candidate's routes by how they are looked up. Routes for schedulers are left out: no role decides there."""
    rules.refuse(manifests)
    tried = [(each, route) for each in manifests for route in each.routes if route.exposed and route.allow is not Access.CRON]
    return _by_look_up(tried)


def _candidate_files(shaped: Routes, free: Routes) -> dict[str, bytes]:
    """Who may and how long a body may be, by route: `access|body limit`."""

    def value(route: Route) -> str:
        return f"{_who(route)}|{route.body_limit}"

    return {
        "maps/candidate_routes.map": _lines(f"{route.method}:{paths.shape(route)} {value(route)}" for _, route in shaped),
        "maps/candidate_patterns.map": _lines(
            f"^{route.method}:{paths.expression(route)[1:]} {value(route)}" for _, route in free
        ),
    }


def _template(
    door: Door,
    keys: Sequence[VerificationKey],
    backends: Sequence[Backend],
    tried: tuple[Routes, Routes] | None,
    answers: Answers,
) -> bytes:
    environment = Environment(
        loader=PackageLoader("gateway"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape(()),
    )
    environment.globals.update(problem=problem, body=answers.body)
    text = environment.get_template("haproxy.cfg.j2").render(
        door=door,
        keys=keys,
        backends=backends,
        errors=ERRORS,
        cron=door.cron,
        cron_header=CRON_HEADER,
        alone=ALONE,
        nothing_here=NOTHING_HERE,
        uuid=paths.UUID,
        uuid_lower=paths.UUID.replace("A-F", ""),
        integer=paths.INTEGER,
        limits=limits,
        address_factor=limits.address_factor(door.profile),
        tls=tls,
        origins=origins,
        acme=challenges,
        security_headers=SECURITY_HEADERS,
        languages=LANGUAGES,
        default_language=DEFAULT_LANGUAGE,
        page_policy=PAGE_POLICY,
        stylesheet=STYLESHEET,
        icon=ICON,
        kept_for_ever=KEPT_FOR_EVER,
        leeway=LEEWAY_SECONDS,
        token_length=TOKEN_LENGTH_MAX,
        token_type=TOKEN_TYPE,
        session_cookie=SESSION_COOKIE,
        cookie_prefix=COOKIE_PREFIX,
        origin=origin_of(door.issuer),
        own_client=OWN_CLIENT,
        schemes=CHALLENGES,
        fallback_key=_address_key(door.secret, "undated"),
        sockets=sockets,
        spare=SPARE,
        formats=formats(candidate=tried is not None, spans=door.spans),
        candidate=tried is not None,
        stream_timeout=STREAM_TIMEOUT_SECONDS,
        stream_class=Rate.STREAM,
        own_sites=" ".join(sorted(OWN_SITES)),
    )
    return text.encode()


def _is_bulk(route: Route) -> bool:
    """Whether it may hold its place for long, and so has one among its like."""
    return route.process == "web" and (route.streams or route.timeout > limits.BULK_FROM_SECONDS)


def _policy(manifest: Manifest, route: Route) -> str:
    """What a request needs of its route: operation, backend, who may, rate class, body limit, milliseconds, traits, step-up.

    The last three are how long ago a step-up may be, which scope does, and how sure a step-up must be.
    """
    seconds = STREAM_TIMEOUT_SECONDS if route.streams else route.timeout
    # Who reaches a route for schedulers knows the secret: nothing is concealed from them.
    concealed = route.concealed and route.allow is not Access.CRON
    found = {
        "stream": route.streams,
        "page": route.page,
        "cookies": route.cookies,
        "concealed": concealed,
        "maintenance": route.during_maintenance,
        "step_up": route.step_up is not None,
        "machines": route.machines,
        "assured": route.step_up_acr is not None,
        "enrolment": route.enrolment,
    }
    traits = [name for name, present in found.items() if present] or ["plain"]
    fields = (
        route.operation,
        f"{manifest.service}-{route.process}{BULK_SUFFIX if _is_bulk(route) else ''}",
        _who(route),
        route.rate,
        route.body_limit,
        round(seconds * 1000),
        "+".join(traits),
        route.step_up or 0,
        route.scope or "",
        route.step_up_acr or "",
    )
    return "|".join(map(str, fields))


def _who(route: Route) -> str:
    return str(route.allow) if isinstance(route.allow, Access) else ",".join(sorted(route.allow))


def _methods(routes: Routes, key: Callable[[Route], str], everywhere: Routes = ()) -> list[tuple[str, str]]:
    """Per path the value of the Allow header, with the methods of wider routes `everywhere`. GET implies HEAD.

    A concealed route is not told of.
    """
    found: dict[str, set[str]] = {}
    wider = [route for _, route in everywhere if not route.concealed and not paths.is_shaped(route)]
    for route in (route for _, route in routes if not route.concealed):
        for each in (route, *(other for other in wider if paths.covers(other, route))):
            found.setdefault(key(route), set()).update({"GET", "HEAD"} if each.method == "GET" else {each.method})
    # Of expressions the first that fits counts: what is spelled out stands before what is open.
    return [(path, ", ".join(sorted(found[path]))) for path in sorted(found, key=lambda path: path.replace("[", "\x7f"))]


def _backends(manifests: Sequence[Manifest], targets: Targets) -> tuple[Backend, ...]:
    found: list[Backend] = []
    for manifest in manifests:
        for process in manifest.processes if manifest.service != GATEWAY else ():
            if process not in HTTP_PROCESSES:
                continue
            servers = _servers(manifest.service, process, targets)
            backend = Backend(f"{manifest.service}-{process}", manifest.service, process, servers)
            found.append(backend)
            if any(route.process == process and _is_bulk(route) for route in manifest.routes):
                found.append(replace(backend, name=f"{backend.name}{BULK_SUFFIX}", bulk=True))
    return tuple(found)


def _servers(service: str, process: str, targets: Targets) -> tuple[tuple[str, str], ...]:
    addresses = targets.get(service, {}).get(process, ())
    wrong = [address for address in addresses if not ADDRESS.match(address)]
    if wrong:
        raise TargetError(f"targets of {service} {process} must be host:port, which {', '.join(map(repr, wrong))} is not")
    return tuple((re.sub(r"[^A-Za-z0-9.-]", "_", address), address) for address in sorted(set(addresses)))


def _limit_lines(profile: Profile, field: str) -> bytes:
    return _lines(f"{rate} {getattr(limit, field)}" for rate, limit in limits.limits(profile).items())


def _address_key(secret: bytes, day: str) -> str:
    """The key of one day's address hashes (base64, as HAProxy takes it). Once it is gone they mean nothing."""
    return base64.b64encode(hmac.digest(secret, f"address key of {day}".encode(), sha256)).decode()


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
