"""The verbs of auth. Each is one transaction; those that hash a password take the database and hash outside of any."""
