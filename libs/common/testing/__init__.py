"""Test support: a service on a real database, minted tokens, golden events. Never imported by the product itself."""

from libs.common.testing.harness import Harness, check_golden, service_harness
from libs.common.testing.tokens import TestKeys, a_subject, bound_to, claims_for, mint, prove

__all__ = ["Harness", "TestKeys", "a_subject", "bound_to", "check_golden", "claims_for", "mint", "prove", "service_harness"]
