"""The SQL ledger: SQLite and PostgreSQL through SQLAlchemy Core; the only place that imports sqlalchemy."""
