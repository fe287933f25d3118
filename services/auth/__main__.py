"""`python -m services.auth web | worker | migrate | manifest | openapi | events | archive | replay | admin-create`."""

from libs.common.service.commands import main
from services.auth.app import service

main(service)
