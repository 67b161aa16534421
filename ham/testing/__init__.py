"""Contract tests for plug-ins: a test class inherits one and gives a fixture."""

from ham.testing.sparsifier_contract import SparsifierContract

__all__ = ["SparsifierContract"]
