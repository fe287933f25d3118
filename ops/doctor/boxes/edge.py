"""The gateway, as anybody outside meets it."""

from typing import Final
from urllib.parse import urlsplit

import httpx

from libs.common import clock
from ops.doctor.box import Finding, NotExamined, bad, box, good, judged
from ops.doctor.examined import Examined

PROTOCOLS: Final = frozenset({"TLSv1.2", "TLSv1.3"})
CERTIFICATE_DAYS_MIN: Final = 14
"""An ACME client renews 30 days before the end: with fewer than 14 left it has failed for two weeks."""
HSTS_SECONDS_MIN: Final = 15_552_000
"""180 days."""
JSON_PATH: Final = "/api/v1/films"
INNER_PATHS: Final = ("/metrics", "/metrics/haproxy", "/internal/revocations", "/internal/maintenance", "/internal/keys")
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
TALKATIVE: Final = ("server", "x-powered-by", "via")
UNSAFE: Final = ("'unsafe-inline'", "'unsafe-eval'")
PERMANENT: Final = frozenset({301, 308})


@box(
    "https",
    "People come over HTTPS",
    fix="Set LUMIERE_ORIGIN to https://… and GATEWAY_CERTIFICATE to a certificate for that name (docs/gateway.md).",
    production=True,
)
def https(examined: Examined) -> Finding:
    """Is the origin an https address, served with TLS 1.2 or 1.3 and a certificate that is believed for its name?"""
    if not examined.addresses.origin.startswith("https://"):
        return bad(f"LUMIERE_ORIGIN is {examined.addresses.origin}")
    peer = examined.peer()
    faults = [] if peer.protocol in PROTOCOLS else [f"the protocol is {peer.protocol}"]
    if peer.disbelief:
        faults.append(f"the certificate is not believed: {peer.disbelief}")
    return judged(faults, f"{examined.addresses.origin}, {peer.protocol}, a certificate that is believed")


@box(
    "certificate",
    "The certificate holds for weeks",
    fix="Renew it: the ACME client's log says why it did not (docs/gateway.md). The gateway takes a new file by itself.",
    production=True,
)
def certificate(examined: Examined) -> Finding:
    """Does the certificate that visitors see hold for 14 days more?"""
    if not examined.addresses.origin.startswith("https://"):
        return bad(f"there is none: LUMIERE_ORIGIN is {examined.addresses.origin}", "See the box https.")
    ends = examined.peer().ends
    evidence = f"it ends in {(ends - clock.now()).days} days, on {ends:%Y-%m-%d}"
    return judged([evidence] if (ends - clock.now()).days < CERTIFICATE_DAYS_MIN else [], evidence)


@box(
    "https-redirect",
    "Plain HTTP leads to HTTPS",
    fix="Set GATEWAY_HTTP_PORT, and publish it as port 80 (deploy/tls.yml).",
    production=True,
)
def redirect(examined: Examined) -> Finding:
    """Is a plain request answered with a permanent redirect to the same path of the https origin, and with nothing else?"""
    origin = examined.addresses.origin
    if not origin.startswith("https://"):
        return bad(f"LUMIERE_ORIGIN is {origin}: plain HTTP is all there is")
    answer = examined.ask_plain("/films?page=2")
    place = answer.headers.get("location", "")
    evidence = f"http://{urlsplit(origin).hostname}/films?page=2 is answered {answer.status_code}, to {place or 'nowhere'}"
    right = answer.status_code in PERMANENT and place == f"{origin}/films?page=2"
    return good(evidence) if right else bad(evidence)


@box(
    "hsts",
    "Browsers remember to come over HTTPS",
    fix="The gateway sends it when GATEWAY_CERTIFICATE is set; what terminates TLS before the gateway must send it too.",
    production=True,
)
def hsts(examined: Examined) -> Finding:
    """Does an answer carry Strict-Transport-Security with 180 days or more (RFC 6797)?"""
    value = examined.ask("GET", JSON_PATH).headers.get("strict-transport-security", "")
    parts = dict(part.strip().partition("=")[::2] for part in value.split(";"))
    age = parts.get("max-age", "").strip('"')
    enough = age.isdecimal() and int(age) >= HSTS_SECONDS_MIN
    return good(f"max-age={age}") if enough else bad(f"the header is {value or 'absent'}")


@box(
    "security-headers",
    "Answers carry the security headers",
    fix="The gateway sets these headers: let whatever stands between it and its clients pass them on.",
)
def headers(examined: Examined) -> Finding:
    """Do answers, refusals too, carry nosniff, a content policy without unsafe scripts, no-referrer, and no server's name?"""
    faults = []
    for path in (JSON_PATH, "/no-such-address"):
        answer = examined.ask("GET", path)
        for name, wanted in HEADERS.items():
            if answer.headers.get(name) != wanted:
                faults.append(f"{path}: {name} is {answer.headers.get(name, 'absent')}")
        policy = answer.headers.get("content-security-policy", "")
        if "frame-ancestors 'none'" not in policy or any(each in policy for each in UNSAFE):
            faults.append(f"{path}: content-security-policy is {policy or 'absent'}")
        faults += [f"{path}: {name} tells {answer.headers[name]}" for name in TALKATIVE if name in answer.headers]
    return judged(faults, f"{len(HEADERS) + 1} headers on answers and refusals; no server names itself")


@box(
    "refusals",
    "The gateway refuses what is not permitted",
    fix="Look at the policy in force: `lumiere gateway routes`, `lumiere gateway check`.",
)
def refusals(examined: Examined) -> Finding:
    """Is a request without a token answered 401, an unknown address 404, a wrong method 405, a body that is too large 413?"""
    tries: dict[str, tuple[int, httpx.Response]] = {
        "without a token": (401, examined.ask("GET", "/api/v1/auth/sessions")),
        "with a forged token": (401, examined.ask("GET", "/api/v1/auth/sessions", headers={"Authorization": "Bearer forged"})),
        "to an unknown address": (404, examined.ask("GET", "/no-such-address")),
        "with a wrong method": (405, examined.ask("DELETE", JSON_PATH)),
        "with a body too large": (413, examined.ask("POST", "/api/v1/auth/login", json={"email": "x" * 200_000})),
    }
    faults = [
        f"a request {what} is answered {answer.status_code} instead of {wanted}"
        for what, (wanted, answer) in tries.items()
        if answer.status_code != wanted
    ]
    return judged(faults, ", ".join(f"{what} {wanted}" for what, (wanted, _) in tries.items()))


@box(
    "inner-doors",
    "Inner doors are not reachable from outside",
    fix="Publish the gateway's port and no other; `lumiere gateway routes` names what is public.",
)
def inner_doors(examined: Examined) -> Finding:
    """Are figures, internal routes and the cron door absent (404) for whoever asks through the gateway?"""
    asked = [("GET", path) for path in INNER_PATHS] + [("POST", "/cron/prune_inbox")]
    answers = {path: examined.ask(method, path).status_code for method, path in asked}
    faults = [f"{path} is answered {status}" for path, status in answers.items() if status != httpx.codes.NOT_FOUND]
    return judged(faults, f"{len(answers)} inner addresses, each answered 404")


@box(
    "maintenance",
    "The door is open",
    fix="`lumiere gateway maintenance off`, or an administrator does: PUT /api/v1/admin/maintenance.",
)
def maintenance(examined: Examined) -> Finding:
    """Is maintenance mode off, in auth's word and in the gateway's?"""
    faults = ["auth says that the platform is being maintained"] if examined.figures("auth").get("maintenance") else []
    told = [each.figures.get("lumiere_gateway_maintenance") for each in examined.processes() if each.service == "gateway"]
    if not told:
        raise NotExamined("the gateway's control process does not answer")
    if any(told):
        faults.append("the gateway answers 503 to everybody but administrators")
    return judged(faults, "off, in auth's word and in the gateway's")
