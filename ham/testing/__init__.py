"""Test classes that define what works: plug-in writers inherit them and give one fixture."""

from ham.testing.sparsifier_contract import SparsifierContract

__all__ = ["SparsifierContract"]
