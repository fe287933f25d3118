"""`python -m services.payments web | worker | migrate | manifest | openapi | events | archive | replay`."""

from libs.common.service.commands import main
from services.payments.app import service

main(service)
