"""Architectures. Each factory takes ``num_classes`` and draws from torch's global generator."""
