"""The doors of the pages on which people sign up, sign in and look after their account."""

from services.auth.routes.pages import (
    addresses,
    assets,
    consent,
    dashboard,
    device,
    entrance,
    federation,
    recovery,
    registration,
    security,
)

DOORS = (entrance, federation, registration, recovery, addresses, dashboard, security, consent, device, assets)
