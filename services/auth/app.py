"""The composition root of auth: the only place that knows concretes."""

from datetime import timedelta

from libs.common.auth.tokens import KeySource, PublishedKeys
from libs.common.db import Database
from libs.common.service import Resources, RevocationSource, Service
from services.auth import events, jobs
from services.auth.adapters.command_line import admin_create, keys_command
from services.auth.adapters.keys import SigningKeys
from services.auth.adapters.passwords import BcryptHasher
from services.auth.adapters.revocations import OwnRevocations
from services.auth.adapters.root import KeptRoot
from services.auth.domain.accounts import Links
from services.auth.domain.keys import SigningPeriod
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.domain.tokens import KeySet, TokenIssuer
from services.auth.models import metadata
from services.auth.routes import accounts, credentials, platform, sessions
from services.auth.settings import Settings

OWN_KEYS_INTERVAL_SECONDS = 0.05
"""An unknown key id costs one read of one's own table, at most so often."""


def build(settings: Settings, database: Database) -> Resources:
    """Make what routes and jobs ask for."""
    sealing = _sealing(settings)
    secret = KeptRoot(database, sealing)
    keys = SigningKeys(database, secret, issuer=settings.lumiere_origin, audience=settings.audience)
    return {
        SealingSecrets: sealing,
        MasterSecret: secret,
        PasswordHasher: BcryptHasher(
            secret,
            settings.bcrypt_rounds,
            threads=settings.password_threads,
            queue=settings.password_queue,
            wait_seconds=settings.password_wait_seconds,
        ),
        TokenIssuer: keys,
        KeySet: keys,
        KeySource: PublishedKeys(keys.public, minimum_interval=OWN_KEYS_INTERVAL_SECONDS),
        RevocationSource: OwnRevocations(database),
        SigningPeriod: SigningPeriod(timedelta(days=settings.signing_key_days)),
        Links: Links(settings.lumiere_origin),
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
    routes=[credentials, sessions, accounts, platform],
    jobs=[jobs],
    events=[events],
    resources=build,
    commands={"admin-create": admin_create, "keys": keys_command},
)
