"""`python -m services.notify web | worker | stream | migrate | manifest | openapi | events`."""

from libs.common import streaming

streaming.prepare()

from services.notify.app import service  # noqa: E402 - a stream process must be made cooperative before anything else is imported

service.main()
