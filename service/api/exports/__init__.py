"""Exports of whole tables: their rows, their columns, and the formats they are written in."""
