"""What a recommendation says in words: its evidence in one sentence, and its warnings."""

from __future__ import annotations

from collections.abc import Sequence

from ham.client.records import Estimate, Optimum, Plan, Run
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import JOINT, SearchSpace
from service.domain.search.space_boundary import boundary_hit
from service.domain.search.stages import commonest_error


def message(
    plan: Plan,
    candidate: HamConfig,
    without: HamConfig,
    served: HamConfig,
    gain: Estimate,
    over_recipe: Estimate | None,
    failures: Sequence[Run],
) -> str:
    """Say what the confirmation of a candidate has shown, and what to do.

    Args:
        plan: what was planned.
        candidate: the best setting found.
        without: no HAM, as it was compared with.
        served: what is recommended.
        gain: of the candidate over ``without``.
        over_recipe: the same over no HAM at the recipe's values, where that differs.
        failures: runs of the candidate that failed.
    """
    named = _named(plan, candidate)
    measured = (
        f"{100 * gain.mean:+.2f} points of test accuracy over {_no_ham(plan, without)} "
        f"(95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, "
        f"{gain.n} paired seeds)"
    )
    if over_recipe is not None:
        measured += (
            f" and {100 * over_recipe.mean:+.2f} over no HAM at the recipe's values "
            f"({100 * over_recipe.low:+.2f} to {100 * over_recipe.high:+.2f})"
        )
    instead = "" if served == RECIPE_BASELINE else f", with {_training(plan, served)}"
    if failures:
        return (
            f"HAM is not shown to be safe here: {len(failures)} runs of the best setting found "
            f"({named}) failed, {commonest_error(failures)}; where it finished: {measured}. "
            f"Train without HAM{instead}."
        )
    if served == candidate:
        return f"HAM helps: {named} gains {measured}."
    verdict = "HAM hurts here" if gain.high < 0 else "HAM is not shown to help here"
    return (
        f"{verdict}: the best setting found ({named}) gives {measured}. "
        f"Train without HAM{instead}."
    )


def provisional_message(
    plan: Plan, candidate: HamConfig, without: HamConfig, optimum: Optimum | None
) -> str:
    """Say what is expected of a candidate that no held-out seeds have seen."""
    named = _named(plan, candidate)
    tail = "no gain has been measured on held-out seeds"
    if optimum is None:
        return f"Provisional: {named} was the best found by too few runs for a surface; {tail}."
    gain = optimum.expected_gain
    expected = (
        f"{100 * gain.mean:+.2f} points of validation accuracy over {_no_ham(plan, without)} "
        f"(95 % credible interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, from a surface "
        f"fitted to {optimum.runs} runs)"
    )
    if gain.mean <= 0:
        return (
            f"Provisional: nothing found is expected to help; of the best ({named}) {expected}; "
            f"{tail}. Train without HAM."
        )
    return f"Provisional: of {named} {expected} are expected; {tail}."


def _named(plan: Plan, setting: HamConfig) -> str:
    """Write a setting with HAM, and what it is to be trained with where that was tuned."""
    strengths = []
    for name in ("alpha", "beta"):
        schedule = getattr(setting, f"{name}_schedule")
        shape = "" if schedule == "constant" else f" ({schedule} to 0)"
        strengths.append(f"{name}={getattr(setting, name):.3g}{shape}")
    return ", ".join([*strengths, *filter(None, [_training(plan, setting)])])


def _no_ham(plan: Plan, without: HamConfig) -> str:
    if not plan.space.multiples:
        return "no HAM"
    return f"no HAM tuned as well ({_training(plan, without)})"


def _training(plan: Plan, setting: HamConfig) -> str:
    values = plan.trained_with(setting)
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items())


def boundary_warnings(
    space: SearchSpace, candidate: HamConfig, without: HamConfig, optimum: Optimum | None
) -> tuple[str, ...]:
    """Warn where the candidate, its near-optimal region or its control touches an end."""
    warnings = []
    for name, axis in space.axes().items():
        value = getattr(candidate, name)
        near = getattr(optimum, name) if optimum else None
        low, high = (near.low, near.high) if near else (value, value)
        edge = boundary_hit(axis, low, high) if axis.contains(value) else None
        if edge is None:
            continue
        span = f"{name}={value:.3g}{_unit(name)}"
        if boundary_hit(axis, value, value) is None:
            span = f"the near-optimal range of {name} ({low:.3g} to {high:.3g}{_unit(name)})"
        where = "up" if edge.side == "high" else "down"
        warnings.append(
            f"{span} is at the edge of the search space ({axis.low:g} to {axis.high:g}); the "
            f"optimum may lie beyond: search {name} {where} to {edge.extension:g}"
        )
    for name, axis in space.axes(branch="baseline").items():
        value = getattr(without, name)
        if edge := boundary_hit(axis, value, value):
            warnings.append(
                f"tuned no HAM is at the edge of the search space ({name}={value:.3g}"
                f"{_unit(name)}; {axis.low:g} to {axis.high:g}), and may be better beyond, where "
                f"the gain of HAM would be smaller: search {name} "
                f"{'up' if edge.side == 'high' else 'down'} to {edge.extension:g}"
            )
    return tuple(warnings)


def _unit(name: str) -> str:
    return " times the recipe's" if name in JOINT else ""
