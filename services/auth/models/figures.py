"""What auth says of itself in numbers: counts and ages, nothing of anybody."""

from sqlalchemy import Integer, cast, exists, func, or_, select

from libs.common.auth.policy import Role
from libs.common.db.figures import Figures, rows_of, seconds_since_last
from services.auth.domain.accounts import Status
from services.auth.domain.tokens import KeyState
from services.auth.models.accounts import password_credential, user_account
from services.auth.models.factors import passkey, totp_credential
from services.auth.models.platform import maintenance, signing_key

_ADMINISTRATES = (user_account.c.role == Role.ADMIN.value, user_account.c.status == Status.ACTIVE.value)
_HAS_A_SECOND_FACTOR = or_(
    exists().where(totp_credential.c.user_id == user_account.c.id, totp_credential.c.confirmed_at.is_not(None)),
    exists().where(passkey.c.user_id == user_account.c.id),
)
_COST = cast(func.substring(password_credential.c.password_hash, r"\$2[aby]\$([0-9]{2})\$"), Integer)
"""bcrypt's own, an exponent of two."""

FIGURES: Figures = {
    "administrators": rows_of(user_account, *_ADMINISTRATES),
    "administrators_with_second_factor": rows_of(user_account, *_ADMINISTRATES, _HAS_A_SECOND_FACTOR),
    "administrators_password_cost_least": select(func.min(_COST))
    .select_from(password_credential.join(user_account))
    .where(*_ADMINISTRATES),
    "maintenance": rows_of(maintenance, maintenance.c.enabled),
    "signing_key_seconds": seconds_since_last(signing_key.c.activated_at, signing_key.c.state == KeyState.ACTIVE.value),
    "signing_keys_next": rows_of(signing_key, signing_key.c.state == KeyState.PUBLISHED.value),
}
