"""Published documents hold to the standards that they name."""
