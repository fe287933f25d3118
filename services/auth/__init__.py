"""Accounts, credentials, sessions, roles and keys: who a person is and what they may do."""
