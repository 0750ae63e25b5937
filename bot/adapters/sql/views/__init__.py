"""The views of the ledger: its public contract for SQL."""
