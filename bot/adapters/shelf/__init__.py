"""The archive of a live run in memory: what was fetched or recorded, as of any instant."""
