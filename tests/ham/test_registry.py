"""Registries list specs without importing them, and plug-ins follow the same rules."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.errors import HamError, InvalidConfig, UnknownName
from ham.registry import Registry, Spec

ALL = [spec for registry in (DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS) for spec in registry]
GROUP = "hamtune.tests"
PLUGIN = Spec(name="plugin", title="Plug-in", factory="json:loads", description="A spec.")


def a_spec(name: str, factory: str = "json:dumps") -> Spec:
    return Spec(name=name, title=name, factory=factory, description="A spec.")


TAKEN = a_spec("one", "json:loads")


def registry_of(*specs: Spec) -> Registry[Spec]:
    return Registry("thing", specs, group=GROUP, spec_class=Spec)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four entry points: a good spec, a missing module, a taken name, and no spec at all."""
    offered = [
        EntryPoint("plugin", f"{__name__}:PLUGIN", GROUP),
        EntryPoint("missing", "no_such_module:SPEC", GROUP),
        EntryPoint("taken", f"{__name__}:TAKEN", GROUP),
        EntryPoint("no_spec", "json:dumps", GROUP),
    ]
    monkeypatch.setattr(
        "ham.registry.entry_points", lambda group: offered if group == GROUP else []
    )


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.factory)
def test_every_spec_names_a_factory_that_exists(spec: Spec) -> None:
    assert callable(spec.load())
    assert spec.title and spec.description.endswith(".")


def test_specs_are_listed_in_order_and_by_pattern() -> None:
    registry = registry_of(a_spec("b1"), a_spec("a1"), a_spec("a2"))
    assert registry.names() == ["b1", "a1", "a2"]
    assert [spec.name for spec in registry.list("a*")] == ["a1", "a2"]
    assert "a1" in registry and "c" not in registry


def test_error_for_an_unknown_name_suggests_close_matches() -> None:
    with pytest.raises(UnknownName, match=r"thing='alpa'.*did you mean 'alpha'"):
        registry_of(a_spec("alpha"), a_spec("omega")).get("alpa")


def test_name_that_is_taken_is_refused_with_both_factories() -> None:
    registry = registry_of(a_spec("one", "json:dumps"))
    with pytest.raises(HamError, match="json:dumps and json:loads"):
        registry.add(a_spec("one", "json:loads"))


def test_specs_of_plugins_are_listed_after_built_in_specs(plugins: None) -> None:
    registry = registry_of(a_spec("one"))
    assert registry.names() == ["one", "plugin"]
    assert registry.get("plugin").load()("[1]") == [1]


def test_broken_plugin_is_listed_with_its_error_and_breaks_nothing_else(plugins: None) -> None:
    registry = registry_of(a_spec("one"))
    assert registry.get("one").factory == "json:dumps"
    errors = {plugin.name: plugin.error for plugin in registry.plugins()}
    assert errors["plugin"] is None
    assert "no_such_module" in (errors["missing"] or "")
    assert "registered twice: json:dumps and json:loads" in (errors["taken"] or "")
    assert "registered by a Spec, but this is a function" in (errors["no_spec"] or "")


def test_plugins_are_the_entry_points_of_installed_packages() -> None:
    assert registry_of().names() == []
    assert not importlib.metadata.entry_points(group=GROUP)


@pytest.mark.parametrize("gpus", [1.5, -1, 2.25])
def test_model_uses_a_share_of_one_gpu_or_a_whole_number_of_gpus(gpus: float) -> None:
    spec = MODELS.get("resnet20")
    assert [replace(spec, gpus=allowed).gpus for allowed in (0.5, 1, 4)] == [0.5, 1, 4]
    with pytest.raises(InvalidConfig, match="whole number"):
        replace(spec, gpus=gpus)
