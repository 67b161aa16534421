"""Handlers and formats of errors, all answered as problem+json (RFC 9457)."""
