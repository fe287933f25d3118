"""Test support: a service on a real database, minted tokens, golden events. Never imported by the product itself."""

from libs.common.testing.harness import Harness, check_golden, service_harness
from libs.common.testing.tokens import TestKeys, a_subject, claims_for, mint

__all__ = ["Harness", "TestKeys", "a_subject", "check_golden", "claims_for", "mint", "service_harness"]
