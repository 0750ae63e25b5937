"""Tidemark: a headless paper-trading engine."""
