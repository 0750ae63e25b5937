"""A history folder: files of instruments, bars and dated rows, and the archive that reads them."""
