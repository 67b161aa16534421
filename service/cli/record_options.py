"""Command options derived from records: names, types, choices, ranges, defaults and help.

A command that takes a record gets one option for each field of the record::

    @takes(StudyChange)
    def change(study: Study, change: StudyChange) -> None: ...

A field that holds a record, such as a budget, gives one option for each field of that record. An
option of several values may be repeated, and splits its values at commas.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.markup import escape

from service.cli.errors import report_errors

Function = Callable[..., None]
R = TypeVar("R", bound=BaseModel)

_SEVERAL = " Separate several by commas."


class Values(NamedTuple):
    """The values that a field takes.

    Attributes:
        type: type of one value; ``str`` where the values are choices.
        choices: the allowed values; empty where all values of the type are.
        several: True where the field is a tuple.
        optional: True where the field may be None.
    """

    type: type
    choices: tuple[str, ...]
    several: bool
    optional: bool

    @classmethod
    def of(cls, annotation: Any) -> Values:
        """Read the annotation of a field."""
        parts = get_args(annotation)
        if optional := type(None) in parts:
            [annotation] = [part for part in parts if part is not type(None)]
        if several := get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        return cls(str if choices else annotation, choices, several, optional)

    @property
    def declared(self) -> Any:
        """The type that Typer reads; the record, not Typer, refuses values and choices."""
        if self.several:
            return list[str]
        return self.type | None if self.optional else self.type

    def read(self, given: Any) -> Any:
        """Return what was given, in the form that the record takes."""
        if not self.several:
            return given
        items = [item.strip() for part in given for item in part.split(",")]
        return [_number(item) for item in items] if self.type is float else items


class RecordOption(NamedTuple):
    """An option, or an argument, for one field of a record.

    Attributes:
        path: name of the field, after the names of the fields that hold its record.
        field: the field.
        name: keyword of the command: the option without dashes in front.
        is_argument: True for an argument.
    """

    path: tuple[str, ...]
    field: FieldInfo
    name: str
    is_argument: bool

    @property
    def spelling(self) -> str:
        """The option as people write it: ``--max-epochs``; an argument in capitals."""
        return self.name.upper() if self.is_argument else f"--{self.name.replace('_', '-')}"

    @property
    def values(self) -> Values:
        """The values that its field takes."""
        return Values.of(self.field.annotation)

    def parameter(self, spellings: Mapping[str, str]) -> inspect.Parameter:
        """Return the parameter that Typer reads; ``spellings`` maps fields to options."""
        values = self.values
        shown: dict[str, Any] = {"help": self._help(spellings)}
        if values.choices:
            shown["metavar"] = "|".join(values.choices)
        if self.is_argument:
            declaration: Any = typer.Argument(show_default=False, **shown)
        elif values.type is bool:
            declaration = typer.Option(f"{self.spelling}/--no-{self.spelling[2:]}", **shown)
        else:
            declaration = typer.Option(self.spelling, **shown)
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[values.declared, declaration],
            default=self._default(),
        )

    def _default(self) -> Any:
        if self.field.is_required():
            return inspect.Parameter.empty
        default = self.field.get_default()
        return [str(item) for item in default] if self.values.several else default

    def _help(self, spellings: Mapping[str, str]) -> str:
        """Return the field's description in the words of the command line, with its range."""
        text = re.sub(r"GET /v1/([a-z-]+)", r"hamtune catalog \1", self.field.description or "")
        names = {**spellings, **{choice: choice for choice in self.values.choices}}
        text = re.sub(r"`(\w+)`", lambda name: names.get(name[1], name[1]), text)
        if self.values.several:
            text += _SEVERAL
        limits = _range(self.field)
        return escape(f"{text} [{limits}]" if limits else text)


def takes(
    record: type[R],
    *,
    arguments: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
) -> Callable[[Function], Function]:
    """Return a decorator for a command with one parameter that is annotated by a record.

    The decorated command has options in the place of that parameter. It reports refusals, by the
    record and by the service, in sentences that name the option.

    Args:
        record: class of the record.
        arguments: fields that become arguments.
        names: names of options that differ from the field's, by field.
        only: fields that become options; all if left out.
    """
    options = list(record_options(record, arguments, names or {}, only))
    spellings = {option.path[-1]: option.spelling for option in options}
    refused = {".".join(option.path): option.spelling for option in options}

    def decorate(function: Function) -> Function:
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            if parameter.annotation is record:
                keyword = parameter.name
                parameters += [option.parameter(spellings) for option in options]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        @wraps(function)
        def command(**given: Any) -> None:
            with report_errors(refused):
                fields = {option.path: given.pop(option.name) for option in options}
                read = {option.path: option.values.read(fields[option.path]) for option in options}
                function(**{keyword: record.model_validate(_nested(read))}, **given)

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def record_options(
    record: type[BaseModel],
    arguments: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    path: tuple[str, ...] = (),
) -> Iterator[RecordOption]:
    """Yield an option for each field of a record, and of the records that it holds."""
    for name, field in record.model_fields.items():
        if only is not None and name not in only:
            continue
        if (held := _record_in(field.annotation)) is not None:
            yield from record_options(held, arguments, names, path=(*path, name))
        else:
            keyword = (names or {}).get(name, name)
            yield RecordOption((*path, name), field, keyword, name in arguments)


def _record_in(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _range(field: FieldInfo) -> str:
    """Write the limits of a number: ``1 to 20``, or ``at least 1``."""
    limits = {
        name: getattr(limit, name)
        for limit in (*field.metadata, *_metadata_of_parts(field.annotation))
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name)
    }
    if {"ge", "le"} <= set(limits):
        return f"{limits['ge']} to {limits['le']}"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return ", ".join(f"{words[name]} {limit}" for name, limit in limits.items())


def _metadata_of_parts(annotation: Any) -> Iterator[Any]:
    """Yield the metadata of the parts of a union: ``Annotated[int, Field(ge=1)] | None``."""
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            for metadata in get_args(part)[1:]:
                yield from metadata.metadata if isinstance(metadata, FieldInfo) else (metadata,)


def _number(text: str) -> float | str:
    """Return the number; a text that is none is left for the record to refuse."""
    try:
        return float(text)
    except ValueError:
        return text


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return values by path as dictionaries in dictionaries."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        holder = nested
        for name in path[:-1]:
            holder = holder.setdefault(name, {})
        holder[path[-1]] = value
    return nested
