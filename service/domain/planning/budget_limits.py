"""Caps on a study: what it has spent, and what it may still begin.

A cap binds whole trainings: nothing is begun that would go beyond the cap on epochs, and nothing
once the cap on wall time has passed; what is under way then ends. What the stages after the
search need is set aside from the start, so a capped search still leaves a confirmed answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ham.client.records import Plan, Run, RunState
from service.domain.planning.plans import sizes_of


@dataclass
class Spending:
    """What a study has spent.

    Attributes:
        epochs: trained, those of trainings under way counted whole; reused runs cost none.
        ended: trainings that have ended.
        seconds: that these took.
    """

    epochs: int = 0
    ended: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Spending:
        """Count the ended runs of a study; a running one has lost its runner and begins anew."""
        trained = [
            run for run in runs if run.reused_from is None and run.state != RunState.RUNNING
        ]
        return cls(
            epochs=sum(run.epochs_done for run in trained),
            ended=len(trained),
            seconds=sum(run.seconds or 0.0 for run in trained),
        )


def may_begin(plan: Plan, spent: Spending, started: datetime, now: datetime) -> bool:
    """Tell whether one more training may begin at all."""
    budget = plan.budget
    if budget.max_epochs is not None and spent.epochs + plan.run_epochs > budget.max_epochs:
        return False
    elapsed = (now - started).total_seconds()
    return budget.max_seconds is None or elapsed < budget.max_seconds


def may_search(plan: Plan, spent: Spending, started: datetime, now: datetime) -> bool:
    """Tell whether one more search trial may begin, with enough left for what follows.

    What the later stages take in wall time is estimated from the pace of the study so far.
    """
    budget, later = plan.budget, _runs_after_search(plan)
    if budget.max_epochs is not None:
        set_aside = later * plan.run_epochs
        if spent.epochs + plan.run_epochs + set_aside > budget.max_epochs:
            return False
    if budget.max_seconds is None or spent.ended == 0:
        return True
    elapsed = (now - started).total_seconds()
    return elapsed * (1 + (later + 1) / spent.ended) <= budget.max_seconds


def _runs_after_search(plan: Plan) -> int:
    sizes = sizes_of(plan)
    return sizes.screening + sizes.confirmation
