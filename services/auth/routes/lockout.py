"""The door by which an administrator lets somebody try again."""

from uuid import UUID

from libs.common.auth.policy import Role
from libs.common.db import Transaction
from libs.common.http import NoContent, Routes
from services.auth.domain.secrets import MasterSecret
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.use_cases import lockout

routes = Routes("auth")


@routes.post("/admin/users/<user_id>/unlock", allow=Role.ADMIN, step_up=STEP_UP_SECONDS)
def unlock_user(user_id: UUID, tx: Transaction, secret: MasterSecret) -> NoContent:
    """Forget the wrong passwords given for an account, so that its owner may try again at once."""
    lockout.unlock(tx, user_id, secret)
    return NoContent()
