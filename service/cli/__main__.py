"""``python -m service.cli`` is ``hamtune``."""

from service.cli.app import main

main()
