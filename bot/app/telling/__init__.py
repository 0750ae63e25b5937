"""What commands answer, and how far long work is: data and text; nothing here reads a ledger."""
