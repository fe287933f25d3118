"""The doors of the pages on which people sign up, sign in and look after their account."""

from services.auth.routes.pages import assets, consent, dashboard, device, entrance, recovery, registration, security

DOORS = (entrance, registration, recovery, dashboard, security, consent, device, assets)
