"""The outside world of production."""
