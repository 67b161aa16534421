"""``hamtune leaderboard``: methods ranked by benchmark."""

from __future__ import annotations

from typing import Annotated

import typer

from ham.client.client import Client
from service.cli.errors import report_errors
from service.cli.options import Json, Url
from service.cli.output import console, leaderboard_table, print_json


def leaderboard(
    benchmark: Annotated[
        str | None, typer.Argument(help="Name of the benchmark; all if left out.")
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Show methods ranked under equal conditions."""
    with report_errors(), Client(url) as client:
        boards = [client.leaderboard(benchmark)] if benchmark else client.leaderboards()
        if json:
            print_json(boards[0] if benchmark else boards)
            return
        for board in boards:
            console.print(leaderboard_table(board), "")
        if not boards:
            console.print("there are no leaderboards yet; see: hamtune tune --help")
