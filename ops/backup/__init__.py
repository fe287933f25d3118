"""Backups: the whole platform at one moment, encrypted; verified by restoring them, and able to prove what a restore lost."""
