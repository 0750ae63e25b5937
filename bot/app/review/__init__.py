"""What a ledger says of its runs: tables, figures, and why a token was or was not traded."""
