"""`python -m services.auth web | worker | migrate | manifest | openapi | events | admin-create`."""

from services.auth.app import service

service.main()
