"""The sentences of a recommendation: its evidence in one message, and its warnings."""

from __future__ import annotations

from collections.abc import Sequence

from ham.client.records import Estimate, Optimum, Plan, Run
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import JOINT, SearchSpace
from service.domain.search.ranking import commonest_error
from service.domain.search.space_boundary import BoundaryHit, boundary_hit


def message(
    plan: Plan,
    candidate: HamConfig,
    baseline: HamConfig,
    served: HamConfig,
    gain: Estimate,
    over_recipe: Estimate | None,
    failures: Sequence[Run],
) -> str:
    """Return what the confirmation of a candidate has shown, and what to do.

    Args:
        plan: the plan of the study.
        candidate: the best configuration found.
        baseline: the configuration without HAM that the candidate was compared with.
        served: the configuration that is recommended.
        gain: of the candidate over ``baseline``.
        over_recipe: gain over the recipe baseline; None where ``baseline`` is the recipe baseline.
        failures: runs of the candidate that failed.
    """
    named = _named(plan, candidate)
    measured = (
        f"{100 * gain.mean:+.2f} points of test accuracy over {_baseline(plan, baseline)} "
        f"(95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, "
        f"{gain.n} paired seeds)"
    )
    if over_recipe is not None:
        measured += (
            f" and {100 * over_recipe.mean:+.2f} over the recipe baseline "
            f"({100 * over_recipe.low:+.2f} to {100 * over_recipe.high:+.2f})"
        )
    instead = "" if served == RECIPE_BASELINE else f", with {_training(plan, served)}"
    if failures:
        return (
            f"HAM is not shown to be safe here: {len(failures)} runs of the best configuration "
            f"found ({named}) failed, {commonest_error(failures)}; where it finished: {measured}. "
            f"Train without HAM{instead}."
        )
    if served == candidate:
        return f"HAM helps: {named} gains {measured}."
    verdict = "HAM hurts here" if gain.high < 0 else "HAM is not shown to help here"
    return (
        f"{verdict}: the best configuration found ({named}) gives {measured}. "
        f"Train without HAM{instead}."
    )


def provisional_message(
    plan: Plan, candidate: HamConfig, baseline: HamConfig, optimum: Optimum | None
) -> str:
    """Return what is expected of a candidate that was not trained on held-out seeds.

    Args:
        plan: the plan of the study.
        candidate: the best configuration found.
        baseline: the configuration without HAM that the candidate is compared with.
        optimum: the surface around the candidate; None with too few runs for a surface.
    """
    named = _named(plan, candidate)
    tail = "no gain has been measured on held-out seeds"
    if optimum is None:
        return f"Provisional: {named} is the best of too few runs for a surface; {tail}."
    gain = optimum.expected_gain
    expected = (
        f"{100 * gain.mean:+.2f} points of validation accuracy over {_baseline(plan, baseline)} "
        f"(95 % credible interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}, from a surface "
        f"fitted to {optimum.runs} runs)"
    )
    if gain.mean <= 0:
        return (
            f"Provisional: no configuration found is expected to help; the best ({named}) is "
            f"expected to give {expected}; {tail}. Train without HAM."
        )
    return f"Provisional: {named} is expected to gain {expected}; {tail}."


def _named(plan: Plan, ham_config: HamConfig) -> str:
    """Write a configuration with HAM, and the values tuned jointly with it."""
    strengths = []
    for name in ("alpha", "beta"):
        schedule = getattr(ham_config, f"{name}_schedule")
        shape = "" if schedule == "constant" else f" ({schedule} to 0)"
        strengths.append(f"{name}={getattr(ham_config, name):.3g}{shape}")
    return ", ".join([*strengths, *filter(None, [_training(plan, ham_config)])])


def _baseline(plan: Plan, baseline: HamConfig) -> str:
    if not plan.space.multiples:
        return "the baseline without HAM"
    return f"the tuned baseline without HAM ({_training(plan, baseline)})"


def _training(plan: Plan, ham_config: HamConfig) -> str:
    values = plan.trained_with(ham_config)
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items())


def boundary_warnings(
    space: SearchSpace, candidate: HamConfig, baseline: HamConfig, optimum: Optimum | None
) -> tuple[str, ...]:
    """Return a warning for each end of an axis that the candidate or the tuned baseline touches.

    With an optimum, the near-optimal range counts in place of the candidate's own value.
    """
    warnings = []
    for name, axis in space.axes().items():
        value = getattr(candidate, name)
        near = getattr(optimum, name) if optimum else None
        low, high = (near.low, near.high) if near else (value, value)
        hit = boundary_hit(axis, low, high) if axis.contains(value) else None
        if hit is None:
            continue
        span = f"{name}={value:.3g}{_unit(name)}"
        if boundary_hit(axis, value, value) is None:
            span = f"the near-optimal range of {name} ({low:.3g} to {high:.3g}{_unit(name)})"
        warnings.append(
            f"{span} is at the boundary of the search space ({axis.low:g} to {axis.high:g}); the "
            f"optimum may lie beyond: {_remedy(name, hit)}"
        )
    for name, axis in space.axes(branch="baseline").items():
        value = getattr(baseline, name)
        if hit := boundary_hit(axis, value, value):
            warnings.append(
                f"the tuned baseline is at the boundary of the search space ({name}={value:.3g}"
                f"{_unit(name)}; {axis.low:g} to {axis.high:g}); a better baseline may lie "
                f"beyond, and the gain of HAM would then be smaller: {_remedy(name, hit)}"
            )
    return tuple(warnings)


def _remedy(name: str, hit: BoundaryHit) -> str:
    return f"search {name} {'up' if hit.side == 'high' else 'down'} to {hit.extension:g}"


def _unit(name: str) -> str:
    return " times the recipe's" if name in JOINT else ""
