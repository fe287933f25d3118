"""The world outside, as payments meets it."""
