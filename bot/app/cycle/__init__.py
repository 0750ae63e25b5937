"""A cycle of live or replay: what is gathered, settled, decided and committed at one slot."""
