"""The one script of these pages: it lets a browser use and make passkeys. Without it everything else works."""

from importlib.resources import files
from typing import Final

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.http import Document, Routes
from libs.common.pages import KEPT_FOR_EVER, address
from services.auth import schemas

routes = Routes("auth")

NAME: Final = "passkeys.js"
MEDIA_TYPE: Final = "text/javascript; charset=utf-8"
_SCRIPT: Final = (files("services.auth.routes.pages") / "static" / NAME).read_bytes()
PASSKEYS: Final = address(NAME, _SCRIPT)
"""Where the script stands; another content has another address."""


@routes.get("/assets/passkeys.js", allow=PUBLIC, rate=Rate.PUBLIC, root=True, page=True, during_maintenance=True)
def passkeys_script(query: schemas.AssetQuery) -> Document:
    """Read the script with which pages use passkeys."""
    return Document(_SCRIPT, MEDIA_TYPE, {"Cache-Control": KEPT_FOR_EVER})
