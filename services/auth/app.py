"""The composition root of auth: the only place that knows concretes."""

from datetime import timedelta

from libs.common.auth.tokens import KeySource, PublishedKeys
from libs.common.companions import Companion, Companions
from libs.common.db import Database
from libs.common.service import Resources, RevocationSource, Service
from services.auth import events, jobs
from services.auth.adapters.administrator_commands import administrators_command
from services.auth.adapters.client_limits import CountedClients, RedisWindows
from services.auth.adapters.command_line import admin_create, keys_command
from services.auth.adapters.factor_commands import factors_command
from services.auth.adapters.keys import SigningKeys
from services.auth.adapters.known_passwords import ListedPasswords
from services.auth.adapters.openid import HttpOpenIdProviders
from services.auth.adapters.passkeys import WebRelyingParty
from services.auth.adapters.passwords import BcryptHasher
from services.auth.adapters.replays import KernelReplays
from services.auth.adapters.revocations import OwnRevocations
from services.auth.adapters.root import KeptRoot
from services.auth.domain.accounts import Dormancy, Links
from services.auth.domain.authorization import Provider
from services.auth.domain.factors import Required
from services.auth.domain.federation import OpenIdProviders
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.keys import SigningPeriod
from services.auth.domain.limits import ClientLimits
from services.auth.domain.passkeys import RelyingParty
from services.auth.domain.password_rules import PasswordRules
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.domain.sessions import Lifetimes
from services.auth.domain.tokens import KeySet, TokenIssuer
from services.auth.models import metadata
from services.auth.routes import (
    access_tokens,
    accounts,
    authorization,
    clients,
    credentials,
    discovery,
    email_changes,
    factors,
    federation,
    history,
    lockout,
    pages,
    passkeys,
    platform,
    proposals,
    questions,
    second_factor,
    sessions,
    tokens,
)
from services.auth.routes.pages.cookies import Keeper
from services.auth.settings import Settings
from services.auth.use_cases.desk import Desk
from services.auth.use_cases.federation import FederationMeans
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.second_factor import Means
from services.auth.use_cases.token_status import Reader

OWN_KEYS_INTERVAL_SECONDS = 0.05
"""An unknown key id costs one read of one's own table, at most so often."""


def build(settings: Settings, database: Database) -> Resources:
    """Make what routes and jobs ask for."""
    sealing = _sealing(settings)
    secret = KeptRoot(database, sealing)
    hasher = BcryptHasher(
        secret,
        settings.bcrypt_rounds,
        threads=settings.password_threads,
        queue=settings.password_queue,
        wait_seconds=settings.password_wait_seconds,
    )
    rules = PasswordRules(settings.password_minimum, ListedPasswords())
    shared = RedisWindows(settings.redis_url.get_secret_value()) if settings.redis_url else None
    companions = Companions({"redis": Companion("redis", "each process counts alone", shared.ping)} if shared else {})
    required = Required(of_administrators=settings.lumiere_env == "production")
    keys = SigningKeys(database, secret, required, issuer=settings.lumiere_origin, audience=settings.audience)
    lifetimes = Lifetimes(timedelta(days=settings.refresh_days), timedelta(days=settings.session_days))
    published = PublishedKeys(keys.public, minimum_interval=OWN_KEYS_INTERVAL_SECONDS)
    relying_party = WebRelyingParty(settings.lumiere_origin)
    described = [each.described(settings.lumiere_origin) for each in settings.oidc_providers]
    providers = HttpOpenIdProviders(described, plain_http=not settings.production)
    means = Means(secret, relying_party, lifetimes, hasher)
    return {
        SealingSecrets: sealing,
        MasterSecret: secret,
        PasswordHasher: hasher,
        PasswordRules: rules,
        Keeping: Keeping(rules, hasher, secret),
        Required: required,
        Lifetimes: lifetimes,
        RelyingParty: relying_party,
        Means: means,
        ClientLimits: CountedClients(secret, settings.client_factor, shared, companions.get("redis")),
        Companions: companions,
        Dormancy: Dormancy(timedelta(days=settings.dormant_days)),
        TokenIssuer: keys,
        Keeper: Keeper(database, keys, lifetimes, providers, means, required),
        KeySet: keys,
        KeySource: published,
        RevocationSource: OwnRevocations(database),
        SigningPeriod: SigningPeriod(timedelta(days=settings.signing_key_days)),
        Links: Links(settings.lumiere_origin),
        OpenIdProviders: providers,
        FederationMeans: FederationMeans(database, providers, lifetimes),
        Provider: Provider(settings.lumiere_origin),
        Desk: Desk(
            database=database,
            provider=Provider(settings.lumiere_origin),
            used=KernelReplays(database),
            issuer=keys,
            teller=keys,
            lifetimes=lifetimes,
            reader=Reader(Provider(settings.lumiere_origin), settings.audience, published),
        ),
        SignInTeller: keys,
    }


def _sealing(settings: Settings) -> SealingSecrets:
    previous = settings.auth_secret_previous
    return SealingSecrets(
        MasterSecret(settings.auth_secret.get_secret_value()),
        MasterSecret(previous.get_secret_value()) if previous else None,
    )


service = Service(
    "auth",
    settings=Settings,
    metadata=metadata,
    routes=[
        credentials,
        email_changes,
        second_factor,
        factors,
        passkeys,
        sessions,
        accounts,
        lockout,
        access_tokens,
        federation,
        history,
        proposals,
        platform,
        discovery,
        authorization,
        questions,
        tokens,
        clients,
        *pages.DOORS,
    ],
    jobs=[jobs],
    events=[events],
    resources=build,
    commands={
        "admin-create": admin_create,
        "administrators": administrators_command,
        "keys": keys_command,
        "factors": factors_command,
    },
)
