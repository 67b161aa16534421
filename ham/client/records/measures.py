"""The measures of a stored run: typed where they are known, and served as they were stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from ham.results import RunMeasures

_KNOWN = TypeAdapter(RunMeasures)


@dataclass(frozen=True)
class StoredMeasures(RunMeasures):
    """Measures that are read from any JSON object.

    An older version, or another trainer, may have stored fewer keys, more keys, or values of
    another type. The known measures of valid type are attributes; the others are None. The JSON
    that is served is ``stored``, unchanged.

    Attributes:
        stored: the JSON object.
    """

    stored: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: Any) -> StoredMeasures:
        """Read a JSON object.

        Raises:
            ValueError: it is no object.
        """
        if isinstance(stored, StoredMeasures):
            return stored
        if not isinstance(stored, dict):
            raise ValueError(f"measures must be a JSON object, not {type(stored).__name__}")
        return cls(**vars(_known(stored)), stored=stored)

    def updated(self, measures: RunMeasures) -> StoredMeasures:
        """Return these measures with others added, or replaced where both have them."""
        return self.read(self.stored | measures.to_json())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Read with :meth:`read`, serve ``stored``, and document the known measures."""
        return core_schema.no_info_before_validator_function(
            cls.read,
            handler.generate_schema(RunMeasures),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda measures: measures.stored
            ),
        )


def _known(stored: dict[str, Any]) -> RunMeasures:
    try:
        return _KNOWN.validate_python(stored)
    except ValidationError as error:
        return _KNOWN.validate_python(_without_invalid(stored, error))


def _without_invalid(stored: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """Leave out invalid values, at the top level and one level below it."""
    valid = {
        name: dict(value) if isinstance(value, dict) else value for name, value in stored.items()
    }
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name, *within = problem["loc"]
        if within and isinstance(valid.get(str(name)), dict):
            valid[str(name)].pop(within[0], None)
        else:
            valid.pop(str(name), None)
    return valid
