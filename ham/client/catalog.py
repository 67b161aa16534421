"""Client methods on the catalog: the names that a request may use."""

from __future__ import annotations

from ham.client.records import (
    DatasetView,
    ModelView,
    OptimizerView,
    PluginView,
    RecipeView,
    SpaceView,
    SparsifierView,
)
from ham.client.transport import Transport


class CatalogMethods(Transport):
    """Methods on the catalog."""

    def models(self) -> list[ModelView]:
        """Return the models."""
        return self._walk(ModelView, "/v1/models")

    def datasets(self) -> list[DatasetView]:
        """Return the datasets."""
        return self._walk(DatasetView, "/v1/datasets")

    def sparsifiers(self) -> list[SparsifierView]:
        """Return the sparsifiers."""
        return self._walk(SparsifierView, "/v1/sparsifiers")

    def optimizers(self) -> list[OptimizerView]:
        """Return the base optimizers."""
        return self._walk(OptimizerView, "/v1/optimizers")

    def recipes(self) -> list[RecipeView]:
        """Return the training recipes."""
        return self._walk(RecipeView, "/v1/recipes")

    def search_spaces(self) -> list[SpaceView]:
        """Return the search spaces."""
        return self._walk(SpaceView, "/v1/search-spaces")

    def plugins(self) -> list[PluginView]:
        """Return the plug-ins that the service has installed, broken ones included."""
        return self._walk(PluginView, "/v1/plugins")
