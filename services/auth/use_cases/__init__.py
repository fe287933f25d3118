"""The verbs of auth; each is one transaction, but for those that hash a password: they take the database and hash in between."""
