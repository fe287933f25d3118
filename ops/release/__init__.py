"""How a release is cut, built, signed and verified."""
