"""Other libraries with their defaults: one module each with a handler that notes its call, run by their own commands.

A module is named `<library>_peer`; `python -m <library>_peer N` publishes N messages and prints the seconds that it took.
"""
