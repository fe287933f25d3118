"""The operator's door of the ledger."""
