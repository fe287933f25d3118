"""What comes from outside: payments, mail, error reports, schedulers, sign-in, Redis. Asked of the running processes."""

import json
from typing import Final
from urllib.parse import urlsplit

from libs.common.config import DOOR_SECRET_LENGTH_MIN
from libs.common.events.topology import GATEWAY
from ops.doctor.box import Finding, NotApplicable, NotExamined, Target, bad, box, good, judged
from ops.doctor.examined import Examined
from ops.doctor.processes import Process
from ops.layout import Layout
from ops.settings import ROOT, PlatformSettings

NAMED_MAX: Final = 5
REDIS_SECONDS: Final = 3
SENDERS: Final = ("resend_api_key", "smtp_url")
"""Settings of notify, any of which lets mail leave the platform."""
STAND_INS: Final = "mock_providers"
"""The setting that names what may stand in for a provider in production."""


@box(
    "stripe-webhook-secret",
    "Stripe's webhooks are verified",
    fix="Write the signing secret that Stripe gave (whsec_…) into STRIPE_WEBHOOK_SECRET: docs/gateway.md, webhooks.",
    production=True,
)
def stripe(examined: Examined) -> Finding:
    """Do the payments processes that answer requests hold STRIPE_WEBHOOK_SECRET? Without it the door is shut."""
    return _made(_web(examined, "payments"), "stripe_webhook_secret")


@box(
    "cron-secret",
    "Schedulers prove who they are",
    fix=f"Set CRON_SECRET, {DOOR_SECRET_LENGTH_MIN} characters or more. Without it that door is shut; jobs run all the same.",
    production=True,
)
def cron(examined: Examined) -> Finding:
    """Do the services that have due jobs, and the gateway, hold CRON_SECRET? Without it /cron is shut to everybody."""
    layout = Layout(PlatformSettings(), ROOT)
    doors = {GATEWAY, *(name for name in examined.services if layout.jobs(name))}
    return _made([each for each in _web(examined) if each.service in doors], "cron_secret")


@box(
    "sentry-dsn",
    "Errors are reported",
    fix="Set SENTRY_DSN to the project's address; until then errors are told by the log alone.",
    production=True,
)
def sentry(examined: Examined) -> Finding:
    """Does every service process hold SENTRY_DSN?"""
    return _made([each for each in examined.processes() if each.service in examined.services], "sentry_dsn")


@box(
    "mail-provider",
    "Mail leaves the platform",
    fix="Set RESEND_API_KEY or SMTP_URL for notify (docs/settings.md); a folder of mails is for development.",
    production=True,
)
def mail(examined: Examined) -> Finding:
    """Has notify a provider that sends mail, rather than a folder that it is written to?"""
    asked = [each for each in examined.processes() if each.service == "notify"]
    if not asked:
        raise NotExamined("notify does not answer")
    lacking = [each.name for each in asked if not any(each.settings.get(name) for name in SENDERS)]
    if not lacking:
        return good(f"{len(asked)} processes hold one of {', '.join(SENDERS).upper()}")
    written = any(each.settings.get("mail_folder") for each in asked)
    where = "mails are only written into a folder" if written else "mails are told by the log alone"
    return bad(f"{len(lacking)} of {len(asked)} processes of notify have no sender: {where}")


@box(
    "mock-providers",
    "No mock stands in for a provider",
    fix="Set LUMIERE_ENV=production for every process, take MOCK_PROVIDERS away, give each provider's key (docs/settings.md).",
    production=True,
)
def mocks(examined: Examined) -> Finding:
    """Does every service run as production does, with MOCK_PROVIDERS naming nobody who stands in for a provider?"""
    asked = [each for each in examined.processes() if each.service in examined.services]
    if not asked:
        raise NotExamined("no service answers")
    standing_in = [each.name for each in asked if each.settings.get(STAND_INS)]
    rehearsing = [each.name for each in asked if each.environment != "production"]
    faults = [f"MOCK_PROVIDERS is set for {', '.join(standing_in[:NAMED_MAX])}"] if standing_in else []
    if rehearsing:
        faults.append(f"{len(rehearsing)} of {len(asked)} processes do not run as production, and take mocks for providers")
    return judged(faults, f"{len(asked)} processes run as production, none with MOCK_PROVIDERS")


@box(
    "oidc-issuers",
    "Sign-in providers are reached over HTTPS",
    fix="Give each provider of OIDC_PROVIDERS an issuer that begins with https:// (docs/auth.md).",
    production=True,
    targets={Target.LOCAL, Target.COMPOSE, Target.ENGINE},
)
def issuers(examined: Examined) -> Finding:
    """Begins the issuer of every OpenID provider that people may sign in with with https://?"""
    path = examined.secrets / "OIDC_PROVIDERS" if examined.secrets else None
    if path is not None:
        text = path.read_text(encoding="utf-8").strip() if path.exists() else ""
        providers = json.loads(text or "[]")
        plain = [each["name"] for each in providers if not str(each["issuer"]).startswith("https://")]
        return judged([f"{name} has a plain issuer" for name in plain], f"{len(providers)} providers, all over HTTPS")
    asked = _web(examined, "auth")
    if not any(each.settings.get("oidc_providers") for each in asked):
        return good("nobody else signs people in")
    if {each.environment for each in asked} == {"production"}:
        return good("auth runs as production, where it starts with issuers over HTTPS only")
    raise NotExamined("auth does not run as production; from outside: `lumiere doctor --compose`")


@box(
    "redis-password",
    "Redis asks for a password",
    fix="Set `requirepass` (or an ACL user) and give it in REDIS_URL: redis://:PASSWORD@host:6379/0.",
)
def redis_password(examined: Examined) -> Finding:
    """Does Redis, where one is used, let nobody in without the password that REDIS_URL holds?"""
    from redis import Redis
    from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

    address = examined.addresses.redis
    if address is None:
        if any(each.settings.get("redis_url") for each in examined.processes()):
            raise NotExamined("auth uses a Redis whose address is not known here: set REDIS_URL")
        raise NotApplicable("no Redis is used; every process counts alone")
    parts = urlsplit(address)
    if not parts.password:
        return bad("REDIS_URL holds no password")
    anonymous = parts._replace(netloc=f"{parts.hostname}:{parts.port or 6379}").geturl()
    try:
        with Redis.from_url(anonymous, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS) as stranger:
            stranger.ping()
        return bad("Redis answers without a password")
    except (AuthenticationError, NoPermissionError, ResponseError):
        pass
    except RedisError as error:
        raise NotExamined(f"Redis does not answer ({type(error).__name__})") from error
    try:
        with Redis.from_url(address, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS) as ours:
            ours.ping()
    except RedisError as error:
        return bad(f"Redis refuses the password in REDIS_URL ({type(error).__name__})")
    return good("a stranger is refused, the password is taken")


def _web(examined: Examined, service: str | None = None) -> list[Process]:
    return [each for each in examined.processes() if each.kind in ("web", "control") and service in (None, each.service)]


def _made(asked: list[Process], setting: str) -> Finding:
    """Whether every one of these processes says that it holds the setting."""
    if not asked:
        raise NotExamined("no process that would hold it answers")
    without = [each.name for each in asked if not each.settings.get(setting, False)]
    more = f" and {len(without) - NAMED_MAX} more" if len(without) > NAMED_MAX else ""
    name = setting.upper()
    return judged(
        [f"{len(without)} of {len(asked)} processes have no {name}: {', '.join(without[:NAMED_MAX])}{more}"] if without else [],
        f"{len(asked)} processes hold {name}",
    )
