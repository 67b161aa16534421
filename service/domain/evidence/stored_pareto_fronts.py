"""Fronts as they are read: apart from how they are reached, which takes scikit-learn."""

from __future__ import annotations

from ham.client.records import Front
from service.errors import NotFound
from service.storage.base import Storage


def front_of(storage: Storage, study_id: str) -> Front:
    """Return the stored front of a study.

    Raises:
        NotFound: there is no such study, or it has none; the message says why.
    """
    study = storage.studies.get(study_id)
    if (found := storage.fronts.of_study(study_id)) is not None:
        return found
    if not study.plan.seeks_front:
        raise NotFound(
            f"study {study_id} has one objective: its result is a recommendation; a front needs "
            "`objectives` of two"
        )
    raise NotFound(
        f"study {study_id} is {study.state.value}; it has a front once it has succeeded"
    )
