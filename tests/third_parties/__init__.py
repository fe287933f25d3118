"""Programs of others that use the platform as their makers mean them to."""
