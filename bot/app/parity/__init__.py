"""Parity: stored cycles derived again from recorded answers, and compared with the ledger."""
