"""Sweeps: a strategy tried with many sets of parameters, judged by one figure."""
