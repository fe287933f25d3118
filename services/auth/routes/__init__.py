"""The HTTP doors of auth."""
