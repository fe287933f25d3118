"""The rules of identity, pure: what is needed (time, random values, rows) is passed in."""
