"""A simulated Token Metrics API over a synthetic market."""
