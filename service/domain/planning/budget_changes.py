"""Another priority or budget for a study, and which parts of a budget may still change."""

from __future__ import annotations

from collections.abc import Sequence

from ham.client.records import Budget, BudgetChange, Plan, Purpose, Run, Study, StudyChange
from service.domain.planning.plans import with_budget
from service.domain.search import objectives
from service.domain.search.early_stopping import choose_rule
from service.errors import Conflict


def changed(study: Study, change: StudyChange, runs: Sequence[Run]) -> Study:
    """Return a study with another priority and budget.

    Args:
        study: the study as it stands.
        change: the new values.
        runs: the runs of the study so far.

    Raises:
        Conflict: a training that depends on a changed part has begun.
        InvalidConfig: the new budget is not valid for the study.
    """
    update: dict[str, object] = {}
    if change.priority is not None:
        update["priority"] = change.priority
    if change.budget is not None:
        update["plan"] = rebudget(study.plan, change.budget, runs)
    return study.model_copy(update=update)


def rebudget(plan: Plan, change: BudgetChange, runs: Sequence[Run]) -> Plan:
    """Return the plan with another budget.

    A part of a budget can change until the first training that depends on it begins. A later
    change would look at results, or compare configurations on unequal seeds.

    Args:
        plan: the plan as it stands.
        change: the new values.
        runs: the runs of the study so far.

    Raises:
        Conflict: a training that depends on a changed part has begun.
        InvalidConfig: the new budget is not valid for the plan.
    """
    wanted = change.model_dump(exclude_none=True)
    begun = _begun(plan, runs)
    for name, value in wanted.items():
        if begun[name] and value != getattr(plan.budget, name):
            raise Conflict(
                f"budget.{name} cannot change any more: trainings that depend on it have begun; "
                "re-run the study with another budget"
            )
    budget = plan.budget.model_copy(update=wanted)
    if budget.early_stopping != plan.budget.early_stopping:
        plan = _with_early_stopping(plan, budget)
    return with_budget(plan, budget)


def _with_early_stopping(plan: Plan, budget: Budget) -> Plan:
    if plan.is_multi_objective:
        objectives.check_early_stopping(budget)
        return plan
    rule = choose_rule(budget.early_stopping, plan.combination, plan.recipe)
    return plan.model_copy(update={"early_stopping": rule})


def _begun(plan: Plan, runs: Sequence[Run]) -> dict[str, bool]:
    """Return, for each part of a budget, whether a training that depends on it has begun."""
    searching = any(run.purpose == Purpose.SEARCH for run in runs)
    screening = [run for run in runs if run.purpose == Purpose.SCREENING]
    finalists_chosen = any(run.setting not in plan.baselines for run in screening)
    confirming = any(run.purpose == Purpose.CONFIRMATION for run in runs)
    return {
        "trials": finalists_chosen,
        "early_stopping": searching,  # all trials are judged by one rule
        "max_epochs": confirming,  # a later cap could end the confirmation where it looks good
        "max_seconds": confirming,
        "finalists": finalists_chosen,
        "screening_seeds": bool(screening),
        # Without a confirmation the jobs of its baselines are skipped during the screening.
        "confirmation_seeds": confirming
        or (bool(screening) and not plan.budget.confirmation_seeds),
    }
