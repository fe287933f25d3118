"""`python -m services.media web | worker | migrate | manifest | openapi | events`."""

from services.media.app import service

service.main()
