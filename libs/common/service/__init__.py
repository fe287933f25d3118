"""Assemble and run a service."""

from libs.common.service.assembly import Assembled, Command, Resources, RevocationSource, Service

__all__ = ["Assembled", "Command", "Resources", "RevocationSource", "Service"]
