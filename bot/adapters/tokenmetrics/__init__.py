"""The Token Metrics API, v2 and v3: its queries, its recorded answers and how they are read.

What cannot be read is refused with a named reason.
"""
