"""What a user writes, as typed values: the configuration, and strategies with their hooks."""
