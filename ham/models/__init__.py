"""Architectures. Each factory takes ``num_classes`` and draws from the global generator."""
