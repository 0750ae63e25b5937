"""A cycle: what is gathered, settled, decided and committed at one slot; live and replay both go through here."""
