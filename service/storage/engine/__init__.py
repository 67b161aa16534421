"""The database engine: transactions, retries, the event log, keyset pages, mapping, migrations."""
