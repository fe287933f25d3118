"""The composition root of auth: the only place that knows concretes."""

from datetime import timedelta

from libs.common.auth.tokens import KeySource, PublishedKeys
from libs.common.db import Database
from libs.common.service import Resources, RevocationSource, Service
from services.auth import events, jobs
from services.auth.adapters.command_line import admin_create, keys_command
from services.auth.adapters.keys import SigningKeys
from services.auth.adapters.openid import HttpOpenIdProviders
from services.auth.adapters.passkeys import WebRelyingParty
from services.auth.adapters.passwords import BcryptHasher
from services.auth.adapters.replays import KernelReplays
from services.auth.adapters.revocations import OwnRevocations
from services.auth.domain.accounts import Links
from services.auth.domain.authorization import Provider
from services.auth.domain.factors import Required
from services.auth.domain.federation import OpenIdProviders
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.keys import SigningPeriod
from services.auth.domain.passkeys import RelyingParty
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
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
    factors,
    federation,
    history,
    pages,
    passkeys,
    platform,
    proposals,
    second_factor,
    sessions,
    tokens,
)
from services.auth.routes.pages.cookies import Keeper
from services.auth.settings import Settings
from services.auth.use_cases.desk import Desk
from services.auth.use_cases.federation import FederationMeans
from services.auth.use_cases.second_factor import Means
from services.auth.use_cases.token_status import Reader

OWN_KEYS_INTERVAL_SECONDS = 0.05
"""An unknown key id costs one read of one's own table, at most so often."""


def build(settings: Settings, database: Database) -> Resources:
    """Make what routes and jobs ask for."""
    secret = MasterSecret(settings.auth_secret.get_secret_value())
    required = Required(of_administrators=settings.lumiere_env == "production")
    keys = SigningKeys(database, secret, required, issuer=settings.lumiere_origin, audience=settings.audience)
    lifetimes = Lifetimes(timedelta(days=settings.refresh_days), timedelta(days=settings.session_days))
    published = PublishedKeys(keys.public, minimum_interval=OWN_KEYS_INTERVAL_SECONDS)
    relying_party = WebRelyingParty(settings.lumiere_origin)
    described = [each.described(settings.lumiere_origin) for each in settings.oidc_providers]
    providers = HttpOpenIdProviders(described, plain_http=not settings.production)
    return {
        MasterSecret: secret,
        PasswordHasher: BcryptHasher(
            secret,
            settings.bcrypt_rounds,
            threads=settings.password_threads,
            queue=settings.password_queue,
            wait_seconds=settings.password_wait_seconds,
        ),
        Required: required,
        Lifetimes: lifetimes,
        RelyingParty: relying_party,
        Means: Means(secret, relying_party, lifetimes),
        TokenIssuer: keys,
        Keeper: Keeper(keys, lifetimes),
        KeySet: keys,
        KeySource: published,
        RevocationSource: OwnRevocations(database),
        SigningPeriod: SigningPeriod(timedelta(days=settings.signing_key_days)),
        Links: Links(settings.lumiere_origin),
        OpenIdProviders: providers,
        FederationMeans: FederationMeans(providers, lifetimes),
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


service = Service(
    "auth",
    settings=Settings,
    metadata=metadata,
    routes=[
        credentials,
        second_factor,
        sessions,
        accounts,
        access_tokens,
        federation,
        history,
        proposals,
        platform,
        factors,
        passkeys,
        discovery,
        authorization,
        tokens,
        clients,
        *pages.DOORS,
    ],
    jobs=[jobs],
    events=[events],
    resources=build,
    commands={"admin-create": admin_create, "keys": keys_command},
)
