"""Recommended alpha and beta for a training script.

::

    from ham import HAM, recommend

    optimizer = HAM(base, **recommend("digits_cnn", "digits", "random", sparsity=0.9))
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

from ham.client.client import Client
from ham.client.records import Evidence, Recommendation, Untuned


class NotTuned(UserWarning):
    """The configuration is transferred: nothing was trained for this combination."""


class TunedJointly(UserWarning):
    """The configuration was tuned together with more than alpha and beta; the message names it."""


class Recommended(Mapping[str, float]):
    """A recommended configuration: a mapping of ``alpha`` and ``beta``, with its evidence.

    Attributes:
        setting: the whole configuration, for ``ham.StrengthSchedule`` where alpha or beta has a
            schedule.
        alpha, beta: the strengths that HAM takes.
        learning_rate, weight_decay: values for the base optimizer; None where the recipe's hold.
        recommendation: the service's whole answer.
    """

    def __init__(self, recommendation: Recommendation | Untuned) -> None:
        self.recommendation = recommendation
        self.setting = recommendation.setting
        self.alpha = recommendation.setting.alpha
        self.beta = recommendation.setting.beta
        tuned = recommendation if isinstance(recommendation, Recommendation) else None
        self.learning_rate = tuned and tuned.learning_rate
        self.weight_decay = tuned and tuned.weight_decay

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Accuracy of every confirmed configuration, the baseline included; empty if untuned."""
        found = self.recommendation
        return found.evidence if isinstance(found, Recommendation) else ()

    def __getitem__(self, name: str) -> float:
        if name not in ("alpha", "beta"):
            raise KeyError(name)
        return float(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return iter(("alpha", "beta"))

    def __len__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return f"Recommended(alpha={self.alpha!r}, beta={self.beta!r}): {self}"

    def __str__(self) -> str:
        return self.recommendation.message


def recommend(
    model: str,
    dataset: str,
    sparsifier: str,
    sparsity: float = 0.0,
    *,
    optimizer: str = "sgd",
    recipe: str | None = None,
    transfer: bool = True,
    url: str | None = None,
) -> Recommended:
    """Look up the recommended alpha and beta of a combination.

    Args:
        model, dataset, sparsifier, optimizer: names from ``hamtune catalog``.
        sparsity: fraction of zero weights, 0 <= sparsity < 1.
        recipe: training recipe, as ``name@version``; any if left out, the newest result counts.
        transfer: for a combination that has not been tuned, transfer a configuration from
            similar ones, with a :class:`NotTuned` warning that states the expected gain.
        url: address of the service; found by :func:`ham.client.service_url` if left out.

    Returns:
        A mapping of ``alpha`` and ``beta``, to unpack into ``HAM``; both are 0 where no gain of
        HAM is shown. Where more was tuned jointly, a :class:`TunedJointly` warning names it.

    Raises:
        ServiceNotRunning: no service answers.
        RequestRefused: a name is unknown, or the combination has not been tuned and nothing can
            be transferred.
    """
    with Client(url) as client:
        ask = client.look_up if transfer else client.recommendations
        found = ask(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            recipe=recipe,
        )
    if not isinstance(found, list):
        warnings.warn(found.message, NotTuned, stacklevel=2)
        return Recommended(found)
    recommendation = found[0]
    if others := recommendation.train_with:
        warnings.warn(_jointly(recommendation, others), TunedJointly, stacklevel=2)
    return Recommended(recommendation)


def _jointly(recommendation: Recommendation, others: tuple[str, ...]) -> str:
    message = f"alpha and beta were tuned to be used with {', '.join(others)}"
    ham_config = recommendation.setting
    if {ham_config.alpha_schedule, ham_config.beta_schedule} != {"constant"}:
        message += "; ham.StrengthSchedule sets them step by step (docs/ham.md)"
    return message
