"""Client of the service's API."""

from __future__ import annotations

from typing import Unpack

from ham.client.catalog import CatalogMethods
from ham.client.errors import NOT_FOUND, RequestRefused
from ham.client.filters import CombinationKeywords
from ham.client.records import Health, Recommendation, Untuned
from ham.client.results import ResultMethods
from ham.client.studies import StudyMethods
from ham.config import RunConfig


class Client(StudyMethods, ResultMethods, CatalogMethods):
    """Methods of the API. They return records of :mod:`ham.client.records`.

    A method that returns a list takes ``limit``, the largest number of items; None returns all.

    Args:
        url: address of the service; found by :func:`ham.client.service_url` if left out.
        timeout: seconds to wait for an answer.
        key: API key; the value of HAMTUNE_API_KEY if left out.

    Raises:
        ServiceNotRunning: no service answers; every method may raise it.
        RequestRefused: the service refused the request; every method may raise it.
    """

    def health(self) -> Health:
        """Return version and instance of the service; a restart changes the instance."""
        return self._get(Health, "/healthz")

    def look_up(
        self, **combination: Unpack[CombinationKeywords]
    ) -> list[Recommendation] | Untuned:
        """Return recommendations, or a transferred one where the one combination has none.

        Raises:
            RequestRefused: as :meth:`recommendations`, where nothing can be transferred.
        """
        try:
            return self.recommendations(**combination)
        except RequestRefused as refusal:
            if refusal.status != NOT_FOUND:
                raise
            try:
                return self.transferred(**combination)
            except RequestRefused:
                raise refusal from None

    def evidence_runs(self, recommendation: Recommendation) -> list[RunConfig]:
        """Return the paired runs behind a recommendation: baseline and best configuration.

        Where learning rate or weight decay was tuned, the baseline is tuned too, and the recipe
        baseline comes third. ``ham.train`` gives the same accuracies again on the same kind of
        machine.
        """
        plan = self.study(recommendation.study_id).plan
        return [
            RunConfig(
                combination=plan.combination, recipe=plan.recipe, setting=ham_config, seed=seed
            )
            for ham_config in recommendation.compared
            for seed in recommendation.seeds
        ]
