"""What a ledger says of its runs: tables, figures, why a token was or was not traded, and what an order rests on."""
