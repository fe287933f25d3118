"""The doors of profiles and accounts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Role, StepUpRequired, Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.http import (
    IfMatch,
    Page,
    Routes,
    Tagged,
    page_of,
)
from services.auth import queries, schemas
from services.auth.domain.kyc import KycStatus, KycStep, OwnCheck
from services.auth.domain.profiles import Skill
from services.auth.routes.answers import held
from services.auth.use_cases import accounts, kyc

routes = Routes("auth")

STEP_UP_SECONDS = 15 * 60
"""Whoever changes what others may do has signed in within this time."""


@routes.get("/profile", allow=SIGNED_IN)
def profile(subject: Subject, db: Reader) -> Tagged[schemas.Profile]:
    """Read one's own profile."""
    return _account(queries.account(db, subject.id))


@routes.patch("/profile", allow=SIGNED_IN)
def change_profile(
    body: schemas.ChangeProfile, subject: Subject, if_match: IfMatch, tx: Transaction
) -> Tagged[schemas.Profile]:
    """Change one's own profile. Where one is paid to changes with a recent sign-in only."""
    changes = body.model_dump(include=body.model_fields_set)
    if "wallet_address" in changes and tx.now - subject.authenticated_at > timedelta(seconds=STEP_UP_SECONDS):
        raise StepUpRequired(STEP_UP_SECONDS)
    return _account(accounts.update_profile(tx, subject.id, changes, if_match.version))


@routes.get("/admin/users", allow=Role.ADMIN)
def list_users(query: schemas.AccountsQuery, db: Reader) -> Page[schemas.Profile]:
    """List accounts, newest first."""
    after = query.after(UUID)
    filters = {"email": query.email, "role": query.role, "status": query.status}
    rows = queries.accounts_page(db, filters, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, lambda row: _account(row).view, lambda row: (row.id,))


@routes.get("/admin/users/<user_id>", allow=Role.ADMIN)
def read_user(user_id: UUID, db: Reader) -> Tagged[schemas.Profile]:
    """Read an account."""
    return _account(queries.account(db, user_id))


@routes.patch("/admin/users/<user_id>", allow=Role.ADMIN, step_up=STEP_UP_SECONDS)
def change_user(
    user_id: UUID, body: schemas.ChangeStanding, subject: Subject, if_match: IfMatch, database: Database
) -> Tagged[schemas.Profile]:
    """Give an account another role, suspend or reactivate it. Its sessions end. A refusal is recorded."""
    with database.transaction() as tx:
        change = accounts.Standing(body.role, body.status, if_match.version)
        outcome = accounts.change_standing(tx, user_id, subject.id, change)
    return _account(held(outcome))


@routes.post("/admin/users/<user_id>/kyc", allow=Role.ADMIN, step_up=STEP_UP_SECONDS, refuses=(KycStep, OwnCheck))
def record_kyc(
    user_id: UUID, body: schemas.RecordKyc, subject: Subject, if_match: IfMatch, database: Database
) -> Tagged[schemas.Profile]:
    """Record what the check of a person came to, and whether they are accredited. A refusal is recorded."""
    with database.transaction() as tx:
        outcome = kyc.record(tx, user_id, subject.id, body.check(), if_match.version)
    return _account(held(outcome))


def _account(row: Any) -> Tagged[schemas.Profile]:
    view = schemas.Profile(
        id=row.id,
        email=row.email,
        display_name=row.display_name,
        bio=row.bio,
        locale=row.locale,
        wallet_address=row.wallet_address,
        skills=[Skill(each) for each in row.skills],
        languages=row.languages,
        kyc=schemas.KycView(status=KycStatus(row.kyc_status), accredited=row.accredited, expires_at=row.kyc_expires_at),
        role=row.role,
        status=row.status,
        verified=row.verified_at is not None,
        created_at=row.created_at,
    )
    return Tagged(view, row.version)
