"""The command line, one file a group of commands; each registers its own."""
