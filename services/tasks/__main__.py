"""`python -m services.tasks web | worker | migrate | manifest | openapi | events | archive | replay`."""

from libs.common.service.commands import main
from services.tasks.app import service

main(service)
