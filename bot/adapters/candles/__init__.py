"""Candle files as people have them: recognised, cleaned, joined and written as a history folder.

Nothing is guessed silently: what has two readings is refused with the names of both.
"""
