"""The caps of a budget: what a study has spent, and whether a further training may begin.

No training begins that would exceed the cap on epochs. No training begins after the cap on wall
time. Trainings under way run to their end. The epochs or seconds of the stages after the search
are reserved from the start, so that a capped study still has a confirmed answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ham.client.records import Plan, Run, RunState
from service.domain.planning.stage_sizes import sizes_of


@dataclass
class Spending:
    """What a study has spent.

    Attributes:
        epochs: epochs trained. A training under way counts with all its epochs, a reused run with
            none.
        ended: number of trainings that have ended.
        seconds: seconds that these took, summed.
    """

    epochs: int = 0
    ended: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Spending:
        """Return the spending of a study that a runner takes up.

        Runs in the state running are left out: their runner was lost, and they begin again.
        """
        trained = [
            run for run in runs if run.reused_from is None and run.state != RunState.RUNNING
        ]
        return cls(
            epochs=sum(run.epochs_done for run in trained),
            ended=len(trained),
            seconds=sum(run.seconds or 0.0 for run in trained),
        )


def may_begin(plan: Plan, spent: Spending, started: datetime, now: datetime) -> bool:
    """Tell whether one more training of any stage may begin."""
    budget = plan.budget
    if budget.max_epochs is not None and spent.epochs + plan.run_epochs > budget.max_epochs:
        return False
    elapsed = (now - started).total_seconds()
    return budget.max_seconds is None or elapsed < budget.max_seconds


def may_search(plan: Plan, spent: Spending, started: datetime, now: datetime) -> bool:
    """Tell whether one more search trial may begin, with enough left for the later stages.

    The wall time of the later stages is estimated from the pace of the study so far.
    """
    budget, later = plan.budget, _runs_after_search(plan)
    if budget.max_epochs is not None:
        reserved = later * plan.run_epochs
        if spent.epochs + plan.run_epochs + reserved > budget.max_epochs:
            return False
    if budget.max_seconds is None or spent.ended == 0:
        return True
    elapsed = (now - started).total_seconds()
    return elapsed * (1 + (later + 1) / spent.ended) <= budget.max_seconds


def _runs_after_search(plan: Plan) -> int:
    sizes = sizes_of(plan)
    return sizes.screening + sizes.confirmation
