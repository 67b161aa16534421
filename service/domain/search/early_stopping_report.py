"""What early stopping saved in a study, and how well early epochs predict the final accuracy."""

from __future__ import annotations

from ham.client.records import (
    EarlyStoppingReport,
    EarlyStoppingState,
    Plan,
    Purpose,
    Rung,
    RunState,
    Study,
)
from service.domain.ports import SearchReads
from service.domain.search.early_stopping import (
    MIN_RANK_CORRELATION,
    History,
    decision_epochs,
    rank_correlation,
    rungs,
)


def report(study: Study, store: SearchReads) -> EarlyStoppingReport:
    """Return what early stopping saved in a study's search so far, with a correlation per rung.

    The rungs are those of ASHA, also where nothing is stopped: the correlations then show whether
    early stopping could pay. With two branches the correlations are over the trials of both.
    """
    plan = study.plan
    # Early epochs rank trials of unequal sparsity by sparsity, not by configuration.
    marks = () if plan.is_multi_objective else rungs(plan.combination, plan.recipe)
    runs = store.of_study(study.id, Purpose.SEARCH)
    curves = store.accuracies(study.id, sorted({*marks, *decision_epochs(plan)}))
    history = History(
        accuracies={number: curves.get(run.id, {}) for number, run in enumerate(runs)},
        final={
            number: run.validation_accuracy
            for number, run in enumerate(runs)
            if run.state == RunState.SUCCEEDED and run.validation_accuracy is not None
        },
    )
    stopped = [run for run in runs if run.state == RunState.PRUNED]
    return EarlyStoppingReport(
        rule=plan.early_stopping,
        state=_state(plan, history),
        stopped=len(stopped),
        epochs_saved=sum(run.epochs - run.epochs_done for run in stopped),
        least_rank_correlation=MIN_RANK_CORRELATION,
        rungs=tuple(
            Rung(
                epoch=epoch,
                finished=sum(epoch in history.accuracies[number] for number in history.final),
                rank_correlation=rank_correlation(history, epoch),
            )
            for epoch in marks
        ),
    )


def _state(plan: Plan, history: History) -> EarlyStoppingState:
    epochs = decision_epochs(plan)
    if not epochs:
        return "off"
    correlations = [rank_correlation(history, epoch) for epoch in epochs]
    known = [correlation for correlation in correlations if correlation is not None]
    if not known:
        return "waiting"
    return "on" if max(known) >= MIN_RANK_CORRELATION else "switched off"
