"""`python -m services.notify web | worker | stream | migrate | manifest | openapi | events | archive | replay`."""

from libs.common import streaming

streaming.prepare()

# A stream process must be made cooperative before anything else is imported.
from libs.common.service.commands import main  # noqa: E402
from services.notify.app import service  # noqa: E402

main(service)
