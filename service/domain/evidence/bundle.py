"""The reproduction bundle of a study: a ZIP archive to check its result and train it again."""

from __future__ import annotations

import io
import json
import platform
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from ham.client.records import ParetoFront, Purpose, Recommendation, Run, Study
from ham.config import RunConfig
from service.domain.evidence.plots import gains_plot, pareto_front_plot, search_plot

_SCRIPT = Path(__file__).parent / "data" / "reproduce.py.in"
_README = """\
# {slug}

Study {id}, state {state}.

    pip install hamtune=={version}
    python reproduce.py            # trains the paired runs behind the result again
    python reproduce.py --pairs 1  # only those of the first seed

The script needs `ham` alone: no service, no database. On the same kind of machine
(environment.json) the accuracies are equal, digit by digit.

request.json: the request. plan.json: the plan: search space, recipe, seeds, stages, and the prior
that similar combinations gave when the search began (null: none). The prior helps to choose the
finalists and never enters a gain.
runs.jsonl: every training. recommendation.json: the result with its evidence; a study of two
objectives has front.json instead, its Pareto front.
evidence.json: the paired runs, ready for `python -m ham`. environment.json: versions, hardware.
plots/: the search, and the gains by seed or the Pareto front.
"""


def bundle(
    study: Study,
    runs: Sequence[Run],
    recommendation: Recommendation | None,
    front: ParetoFront | None = None,
) -> bytes:
    """Return a ZIP archive.

    Args:
        study: in any state; an unfinished one gives its results so far.
        runs: all runs of the study.
        recommendation: of the study, if it has one.
        front: the Pareto front of the study, if it has one.
    """
    readme = _README.format(
        slug=study.plan.slug,
        id=study.id,
        state=study.state.value,
        version=version("hamtune"),
    )
    files = {
        "README.md": readme,
        "reproduce.py": _SCRIPT.read_text(encoding="utf-8"),
        "request.json": _text(study.request.model_dump(mode="json")),
        "plan.json": _text(study.plan.model_dump(mode="json")),
        "search_space.json": _text(study.plan.model_dump(mode="json")["space"]),
        "study.json": _text(study.model_dump(mode="json", exclude={"plan", "request"})),
        "runs.jsonl": "".join(run.model_dump_json() + "\n" for run in runs),
        "environment.json": _text(environment(runs)),
        "plots/search.svg": search_plot(runs),
    }
    if recommendation is not None:
        files["recommendation.json"] = _text(recommendation.model_dump(mode="json"))
        files["evidence.json"] = _text(evidence(study, runs, recommendation))
        if recommendation.gain is not None:
            files["plots/gains.svg"] = gains_plot(recommendation, recommendation.gain)
    if front is not None:
        files["front.json"] = _text(front.model_dump(mode="json"))
        files["evidence.json"] = _text(pareto_front_evidence(study, runs))
        files["plots/front.svg"] = pareto_front_plot(front)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{study.id}/{name}", text)
    return content.getvalue()


def evidence(
    study: Study, runs: Sequence[Run], recommendation: Recommendation
) -> list[dict[str, Any]]:
    """Return the compared runs, by seed: each with its config, devices and test accuracy."""
    recorded = {
        (run.setting, run.seed): run for run in runs if run.purpose == Purpose.CONFIRMATION
    }
    plan = study.plan
    return [
        {
            "run": RunConfig(
                combination=plan.combination, recipe=plan.recipe, setting=ham_config, seed=seed
            ).to_json(),
            "devices": _devices(recorded[ham_config, seed]),
            "test_accuracy": recorded[ham_config, seed].test_accuracy,
        }
        for seed in recommendation.seeds
        for ham_config in recommendation.compared
        if (ham_config, seed) in recorded
    ]


def pareto_front_evidence(study: Study, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a Pareto front's runs, by seed: each with its config, devices and test accuracy."""
    confirmed = [run for run in runs if run.test_accuracy is not None]
    return [
        {
            "run": RunConfig(
                combination=study.plan.combination_at(run.sparsity),
                recipe=study.plan.recipe,
                setting=run.setting,
                seed=run.seed,
            ).to_json(),
            "devices": _devices(run),
            "test_accuracy": run.test_accuracy,
        }
        for run in sorted(confirmed, key=lambda run: run.seed)
    ]


def environment(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the code version, the packages of this process, and the environments of the runs."""
    machines = {json.dumps(run.environment, sort_keys=True) for run in runs if run.environment}
    packages = {package.metadata["Name"]: package.version for package in distributions()}
    return {
        "hamtune": version("hamtune"),
        "python": platform.python_version(),
        "packages_of_the_service": dict(sorted(packages.items())),
        "environments_of_the_runs": [json.loads(text) for text in sorted(machines)],
    }


def _text(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _devices(run: Run) -> int:
    """Return how many devices shared the batches of a run."""
    return int(run.environment.get("devices", 1))
