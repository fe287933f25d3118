"""`python -m services.media web | worker | migrate | manifest | openapi | events | archive | replay`."""

from libs.common.service.commands import main
from services.media.app import service

main(service)
