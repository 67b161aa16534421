"""ASGI middleware around the routes: the gate, limits, security headers, logs and metrics."""
