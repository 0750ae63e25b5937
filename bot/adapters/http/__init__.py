"""HTTP: the only place that imports httpx; retries, limits, deadlines and the translation of errors."""
