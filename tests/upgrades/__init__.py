"""The code of the former release, at work on the schema of today."""
