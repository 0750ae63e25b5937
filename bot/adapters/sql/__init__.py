"""The SQL ledger: SQLite and PostgreSQL through SQLAlchemy Core.

No other package imports sqlalchemy.
"""
