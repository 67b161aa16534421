"""The command line, ``hamtune``; commands that only ask the service import nothing heavy."""

from service.cli.app import main

__all__ = ["main"]
