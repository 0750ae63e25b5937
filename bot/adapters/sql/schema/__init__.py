"""The tables of the ledger, the types of their columns, and what the database itself enforces."""
