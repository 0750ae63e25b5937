"""The outside world: HTTP, SQL, files and time.

No trading decision is taken here.
"""
