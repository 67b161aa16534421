"""Pages that are written from the code, and the check that no public symbol lacks a page.

MkDocs calls these functions by their names (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

from __future__ import annotations

import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from mkdocs.exceptions import PluginError
from mkdocstrings import Inventory

PUBLIC = (
    "ham",
    "ham.client",
    "ham.client.records",
    "ham.optim",
    "ham.sparsifiers",
    "ham.sparsifiers.common",
    "ham.testing",
    "ham.theory",
    "ham.training",
    "search_spaces",
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the commands and the operations of the API, which only the code knows."""
    if page.file.src_uri == "reference/commands.md":
        return markdown.replace("<!-- commands -->", commands())
    if page.file.src_uri == "reference/rest.md":
        return markdown.replace("<!-- operations -->", operations())
    if page.file.src_uri == "changelog.md":
        return (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    return markdown


def on_post_build(config: Any, **_: Any) -> None:
    """Raise PluginError where a public symbol is on no page of the reference."""
    inventory = (Path(config.site_dir) / "objects.inv").open("rb")
    with inventory:
        documented = set(Inventory.parse_sphinx(inventory))
    missing = sorted(name for package in PUBLIC for name in undocumented(package, documented))
    if missing:
        raise PluginError(f"no page in docs/reference documents: {', '.join(missing)}")


def undocumented(package: str, documented: set[str]) -> list[str]:
    """Return the public names of a package that are in the inventory under none of their paths."""
    module = import_module(package)
    found = []
    for name in module.__all__:
        value = getattr(module, name)
        defined_in = getattr(value, "__module__", None)
        if defined_in is not None and defined_in.startswith(PUBLIC):
            is_documented = not documented.isdisjoint(
                (f"{defined_in}.{name}", f"{package}.{name}")
            )
        else:  # a constant or a type alias does not know its module
            is_documented = any(
                re.fullmatch(rf"{package}\..*\b{name}", path) for path in documented
            )
        if not is_documented:
            found.append(f"{package}.{name}")
    return found


def commands() -> str:
    """Return every command with its help and options, as Markdown."""
    from service.cli.app import app  # lazy: only this page needs it

    group: Any = typer.main.get_command(app)
    shown = {name: one for name, one in group.commands.items() if not one.hidden}
    return "\n".join(
        line for name, one in shown.items() for line in _command(f"hamtune {name}", one)
    )


def _command(path: str, command: Any) -> list[str]:
    lines = [f"## `{path}`", "", _plain(command.help or ""), ""]
    group = getattr(command, "commands", {})
    for name, one in group.items():
        lines += _command(f"{path} {name}", one)
    options = [one for one in command.params if not getattr(one, "hidden", False)]
    if options and not group:
        lines += ["| | |", "|---|---|"]
        for one in options:
            lines.append(f"| `{_name(one)}` | {_plain(getattr(one, 'help', '') or '')} |")
        lines.append("")
    return lines


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", r"\|")).strip()


def operations() -> str:
    """Return every operation of the API: method, address, summary."""
    from service.api.app import create_app  # lazy: only this page needs it
    from service.settings import Settings  # lazy: the same

    with tempfile.TemporaryDirectory() as folder:
        document = create_app(Settings(data_dir=Path(folder))).openapi()
    lines = ["| | | |", "|---|---|---|"]
    for path, methods in document["paths"].items():
        lines += [
            f"| {method.upper()} | `{path}` | {_plain(operation.get('summary', ''))} |"
            for method, operation in methods.items()
        ]
    return "\n".join(lines)
