"""Measurements: every figure stands beside its limit, measured in the same run."""
