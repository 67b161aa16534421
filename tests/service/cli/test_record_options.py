"""Commands offer every field of the records that they send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from typer.core import TyperGroup
from typer.testing import CliRunner

from ham.client.client import Client
from ham.client.records import Budget, BudgetChange, StudyChange, StudyRequest, SweepRequest
from service.cli.app import app
from service.cli.record_options import RecordOption, record_options
from service.cli.sweeps import SINGULARS

RECORDS: dict[str, tuple[type[BaseModel], Mapping[str, str]]] = {
    "tune": (StudyRequest, {"objectives": "objective"}),
    "sweep": (SweepRequest, SINGULARS),
    "change": (StudyChange, {}),
}
"""The record that a command sends, and the names of options that differ from the field's."""

LEFT_OUT: dict[str, set[str]] = {"tune": set(), "sweep": set(), "change": set()}
"""Fields without an option on purpose: none."""

REQUIRED = {
    "tune": ["digits_cnn", "random", "--dataset", "digits"],
    "sweep": ["--model", "digits_cnn", "--dataset", "digits", "--sparsifier", "random"],
    "change": ["study_1"],
}
VALUES: dict[str, Any] = {
    "sparsity": 0.25,
    "recipe": "digits@1",
    "optimizer": "adamw",
    "confirmation_seeds": 5,
    "max_seconds": 7.5,
    "objectives": ("accuracy", "training_flops"),
    "sparsities": (0.5, 0.75),
    "optimizers": ("sgd", "adamw"),
    "tune": ("learning_rate", "beta_schedule"),
}
"""Values that differ from the default; those of numbers, flags and choices are derived."""


def options() -> Iterator[Any]:
    for command, (record, names) in RECORDS.items():
        for option in record_options(record, names=names):
            if not option.field.is_required():
                yield pytest.param(command, option, id=f"{command} {option.spelling}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[BaseModel]:
    """The records that commands send, with nobody to answer."""
    records: list[BaseModel] = []

    def stop(_: Client, *arguments: Any) -> None:
        records.append(next(part for part in arguments if isinstance(part, BaseModel)))
        raise typer.Exit(0)

    for method in ("submit", "submit_sweep", "change"):
        monkeypatch.setattr(Client, method, stop)
    return records


def another_value(option: RecordOption) -> Any:
    """Return a value that the field allows and that is not its default."""
    values, default = option.values, option.field.get_default()
    if option.path[-1] in VALUES:
        return VALUES[option.path[-1]]
    if values.choices:
        return next(choice for choice in values.choices if choice != default)
    if values.type is bool:
        return not default
    assert values.type is int, f"give VALUES a value for {option.path[-1]}"
    return (default or 5) + 1


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_every_field_arrives_in_the_record(
    command: str, option: RecordOption, sent: list[BaseModel]
) -> None:
    value = another_value(option)
    if isinstance(value, bool):
        given = [option.spelling if value else option.spelling.replace("--", "--no-")]
    else:
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        given = [option.spelling, text]
    done = CliRunner().invoke(app, [command, *REQUIRED[command], *given])
    assert done.exit_code == 0, done.output
    [record] = sent
    field: Any = record
    for name in option.path:
        field = getattr(field, name)
    assert field == value


def test_no_field_lacks_an_option_and_help() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for command, (record, names) in RECORDS.items():
        parameters = {parameter.name: parameter for parameter in group.commands[command].params}
        lacking = {
            ".".join(option.path)
            for option in record_options(record, names=names)
            if not getattr(parameters.get(option.name), "help", None)
        }
        assert lacking == LEFT_OUT[command]


def test_what_is_not_given_is_left_to_the_record(sent: list[BaseModel]) -> None:
    for command in RECORDS:
        assert CliRunner().invoke(app, [command, *REQUIRED[command]]).exit_code == 0
    study, sweep, change = sent
    assert study == StudyRequest(model="digits_cnn", dataset="digits", sparsifier="random")
    assert sweep == SweepRequest(
        models=("digits_cnn",), datasets=("digits",), sparsifiers=("random",)
    )
    assert change == StudyChange(budget=BudgetChange())


def test_options_of_several_values_are_repeated_or_separated_by_commas(
    sent: list[BaseModel],
) -> None:
    for given in (["--tune", "learning_rate", "--tune", "weight_decay"], ["--tune", COMMAS]):
        assert CliRunner().invoke(app, ["tune", *REQUIRED["tune"], *given]).exit_code == 0
    first, second = sent
    assert first == second
    assert isinstance(first, StudyRequest) and first.tune == ("learning_rate", "weight_decay")


COMMAS = "learning_rate, weight_decay"


def test_help_states_choices_ranges_and_defaults() -> None:
    shown = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["tune", "--help"]).stdout
    early_stopping = Budget.model_fields["early_stopping"]
    assert "|".join(get_args(early_stopping.annotation)) in shown
    assert "[1 to 20]" in shown and "[default: 8]" in shown
    assert "--no-transfer" in shown and "GET /v1" not in shown
