"""The gateway: what checking costs on top of carrying, what others take for less, and what it does to streams and changes."""
