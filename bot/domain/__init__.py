"""Values: what everything else speaks of. Nothing here reads a clock, a socket or a file."""
