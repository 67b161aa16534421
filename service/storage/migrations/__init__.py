"""Alembic migrations of the tables; ``versions`` holds one module per schema version."""
