"""The daemon: APScheduler only says when to fire; only the ledger says what was fired."""
