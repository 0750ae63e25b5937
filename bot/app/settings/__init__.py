"""What a user writes, as typed values: the configuration, strategies with their hooks, and the keys of both."""
