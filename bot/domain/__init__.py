"""Values that every other package uses. Nothing here reads a clock, a socket or a file."""
