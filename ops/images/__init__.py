"""What each container image holds: found by following imports, locked, gathered, built and described."""
