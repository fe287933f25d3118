"""The HTTP door: routes with their policy, strict inputs, problem documents."""

from libs.common.errors import Fault, Invalid
from libs.common.http.cookies import Cookie, Cookies
from libs.common.http.cursor import decode_cursor, encode_cursor
from libs.common.http.forms import Submitted
from libs.common.http.models import (
    Accepted,
    Created,
    Document,
    Html,
    IfMatch,
    Input,
    NoContent,
    Page,
    PageQuery,
    RawBody,
    Redirect,
    RequestInfo,
    Streaming,
    Tagged,
    View,
    page_of,
)
from libs.common.http.routes import Produced, Routes

__all__ = [
    "Accepted",
    "Cookie",
    "Cookies",
    "Created",
    "Document",
    "Fault",
    "Html",
    "IfMatch",
    "Input",
    "Invalid",
    "NoContent",
    "Page",
    "PageQuery",
    "Produced",
    "RawBody",
    "Redirect",
    "RequestInfo",
    "Routes",
    "Streaming",
    "Submitted",
    "Tagged",
    "View",
    "decode_cursor",
    "encode_cursor",
    "page_of",
]
