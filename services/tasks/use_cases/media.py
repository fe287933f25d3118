"""Keeping in mind what the media service told about uploads."""

from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Transaction
from services.tasks.domain.review import Media
from services.tasks.domain.values import MediaId, UserId
from services.tasks.models import media

_REMEMBER = insert(media).on_conflict_do_nothing(index_elements=["id"])
_WITHDRAW = insert(media).on_conflict_do_update(index_elements=["id"], set_={"ready": False})


def remember_upload(tx: Transaction, item: Media) -> None:
    """An upload is ready, unless it is known to be gone already: facts of different aggregates may arrive in any order."""
    described = {"sha256": item.sha256, "mime": item.mime, "size": item.size}
    tx.execute(_REMEMBER, {"id": item.id, "owner_id": item.owner_id, "ready": True, "known_at": tx.now, **described})


def withdraw_upload(tx: Transaction, media_id: MediaId, owner_id: UserId) -> None:
    """An upload was refused or deleted: it can no longer be handed in."""
    tx.execute(_WITHDRAW, {"id": media_id, "owner_id": owner_id, "ready": False, "known_at": tx.now})
