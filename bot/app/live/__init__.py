"""The daemon: APScheduler says when, never what; what was fired is known from the ledger alone."""
