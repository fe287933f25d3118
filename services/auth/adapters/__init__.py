"""The slow and the outside: password hashing in threads, keys in the table, the operator's command line."""
