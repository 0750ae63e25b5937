"""A history folder: instruments, bars and dated rows as files, and the archive over them."""
