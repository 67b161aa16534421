"""A database as after years of tuning, copied from a few studies.

The studies run through the real storage and the real rules. One training is real: all runs have
its curve and its measures. Accuracies come from the recorded trainings (``benchmarks/truth``).
PostgreSQL then copies the studies, run by run with every event, under other combinations: a
million runs in about two minutes. Ids and times of copies ascend together, as those of the service
do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import product

import numpy as np
import psycopg

from benchmarks.recorded_truth import FILE
from benchmarks.replay import CHANCE, Truth, load
from ham.client.records import EpochMetrics, Plan, Purpose, StudyRequest
from ham.config import RECIPE_BASELINE, Combination, HamConfig, RunConfig
from ham.training import RunResult, train
from search_spaces import recipe_for
from service.domain.evidence.recommendations import recommend
from service.domain.planning.plans import resolve
from service.domain.search.stages import baseline_jobs, confirmation_jobs, round_count, round_jobs
from service.records import Job, Outcome, StudyLease
from service.storage import Storage
from service.storage.engine.mapping import column_names, field_names
from service.storage.tables import RunRow

SPARSIFIERS = ("random", "snip", "grasp", "synflow", "gmp", "acdc", "set", "rigl", "mest", "str")
MODELS = ("digits_cnn", "digits_mlp")
REAL = tuple(product(MODELS, ("random", "rigl"), (0.9,)))
SUBMITTERS = ("ada", "ben", "cleo", "dan", "eve")
FAILED_EVERY = 11
FAILED_TRIALS = (7, 23)
STUDIES_PER_SWEEP = 20
CURVES_EVERY = 20
LEASE = timedelta(minutes=5)


def combinations(number: int) -> Iterator[Combination]:
    """Yield a number of combinations: methods on two models, at more and more sparsities."""
    per_sparsity = len(MODELS) * len(SPARSIFIERS)
    sparsities = -(-number // per_sparsity)
    for index in range(number):
        rest, method = divmod(index, len(SPARSIFIERS))
        rank, model = divmod(rest, len(MODELS))
        yield Combination(
            model=MODELS[model],
            dataset="digits",
            sparsifier=SPARSIFIERS[method],
            sparsity=round((rank + 1) / (sparsities + 1), 6),
            optimizer="sgd",
            recipe=recipe_for("digits").id,
        )


def play(storage: Storage) -> None:
    """Run a few studies from request to recommendation."""
    truths = load(FILE)
    for model, sparsifier, sparsity in REAL:
        request = StudyRequest(
            model=model, dataset="digits", sparsifier=sparsifier, sparsity=sparsity
        )
        plan = resolve(request)
        storage.studies.submit(request, plan)
        claimed = storage.queue.claim("lab", LEASE)
        assert claimed is not None
        study, lease = claimed
        truth = truths[plan.combination.key]
        real = train(
            RunConfig(
                combination=plan.combination, recipe=plan.recipe, setting=RECIPE_BASELINE, seed=0
            ),
            measure_test=True,
        )
        run = partial(_run, storage, lease, truth, real)
        run(_search(plan))
        for number in range(round_count(plan)):
            run(round_jobs(plan, storage.runs.of_study(study.id), number=number))
        for purpose in (Purpose.SCREENING, Purpose.CONFIRMATION):
            run(baseline_jobs(plan, purpose))
        run(confirmation_jobs(plan, storage.runs.of_study(study.id)))
        storage.queue.succeed(lease, recommend(plan, storage.runs.of_study(study.id)))


def _search(plan: Plan) -> list[Job]:
    """Return search jobs at random configurations."""
    draw = np.random.default_rng(plan.sampler_seed)
    alphas, betas = plan.space.alpha, plan.space.beta

    def one(number: int) -> Job:
        ham_config = HamConfig(
            alpha=float(np.exp(draw.uniform(np.log(alphas.low), np.log(alphas.high)))),
            beta=float(np.exp(draw.uniform(np.log(betas.low), np.log(betas.high)))),
        )
        return Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)

    return [one(number) for number in range(plan.budget.trials)]


def _run(
    storage: Storage, lease: StudyLease, truth: Truth, real: RunResult, jobs: Sequence[Job]
) -> None:
    facts = real.to_json()
    facts["measures"]["sparsity"] = facts.pop("sparsity")
    outcome = Outcome.model_validate(facts)
    for job in jobs:
        accuracies = truth.curve(job.setting, job.seed)
        changes: dict[str, object] = {"validation_accuracy": float(accuracies[-1])}
        if job.purpose != Purpose.CONFIRMATION:
            changes["test_accuracy"] = None
        ended = outcome.model_copy(update=changes)
        if accuracies[-1] <= CHANCE or job.trial_number in FAILED_TRIALS:
            ended = Outcome(error="the worker broke down")
        run = storage.runs.begin(lease, job, len(outcome.curve))
        storage.runs.end(lease, run.id, ended)


def copy(url: str, number: int, runs: int) -> None:
    """Copy the played studies until there are enough runs and combinations.

    Every combination has at least one recommendation. If there are too few runs for that, only the
    newest studies have runs. Every eleventh study has failed without runs.

    Args:
        url: a database with the played studies only. The user must be a superuser of PostgreSQL,
            who can switch triggers and foreign keys off.
        number: number of combinations.
        runs: minimum number of runs.
    """
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET synchronous_commit = off")
        _write_combinations(cursor, number)
        cursor.executemany(
            "INSERT INTO submitter (name) VALUES (%s)", [(name,) for name in SUBMITTERS]
        )
        cursor.execute(_PLAN.format(number=number, runs=runs, failed_every=FAILED_EVERY))
        for statement in _COPIES:
            cursor.execute(statement.format(sweep=STUDIES_PER_SWEEP, curves_every=CURVES_EVERY))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def queue(url: str, number: int) -> None:
    """Queue copies of the newest studies: of five submitters, at three priorities."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_QUEUE.format(number=number))
        connection.execute("VACUUM ANALYZE study")


def _write_combinations(cursor: psycopg.Cursor, number: int) -> None:
    fields = ("model", "dataset", "sparsifier", "sparsity", "optimizer", "recipe")
    cursor.executemany(
        f"INSERT INTO combination (key, {', '.join(fields)}) VALUES (%s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [(one.key, *(getattr(one, name) for name in fields)) for one in combinations(number)],
    )
    cursor.execute("CREATE TEMP TABLE wanted (rank bigint, key text) ON COMMIT DROP")
    cursor.executemany(
        "INSERT INTO wanted VALUES (%s, %s)",
        [(index, one.key) for index, one in enumerate(combinations(number))],
    )


_PLAN = """
CREATE TEMP TABLE source ON COMMIT DROP AS
SELECT study.id, row_number() OVER (ORDER BY study.id) - 1 AS rank,
    (SELECT count(*) FROM run WHERE run.study_id = study.id) AS runs
FROM study;
CREATE TEMP TABLE source_run ON COMMIT DROP AS
SELECT id AS run_id, row_number() OVER (PARTITION BY study_id ORDER BY id) AS rank FROM run;
CREATE TEMP TABLE copy ON COMMIT DROP AS
WITH size AS (
    SELECT greatest({number}, ceil({runs} / avg(runs))) AS wanted,
        ceil({runs} / avg(runs)) AS with_runs, count(*) AS sources FROM source
), numbered AS (
    SELECT n, n % {failed_every} = 0 AS failed, with_runs, sources,
        row_number() OVER (PARTITION BY n % {failed_every} = 0 ORDER BY n) - 1 AS turn,
        count(*) FILTER (WHERE n % {failed_every} <> 0) OVER () AS successes
    FROM size, generate_series(1, (wanted * {failed_every} / ({failed_every} - 1))::int + 1) AS n
)
SELECT n, failed, source.id AS source_id, combination.id AS combination_id,
    turn / {number} + 1 AS version, NOT failed AND turn >= successes - with_runs AS with_runs,
    'study_' || lpad(n::text, 26, '0') AS id,
    (max(n) OVER () - n) * interval '-10 minutes' AS shift
FROM numbered
JOIN source ON source.rank = n % sources
JOIN wanted ON wanted.rank = turn % {number}
JOIN combination USING (key);
CREATE UNIQUE INDEX ON copy (n);
CREATE INDEX ON copy (source_id);
ANALYZE copy, source_run;
"""

_SUBMITTER = f"(ARRAY{list(SUBMITTERS)})[1 + n % {len(SUBMITTERS)}]"
_FIELDS = (
    "jsonb_build_object('model', c.model, 'dataset', c.dataset, 'sparsifier', c.sparsifier, "
    "'sparsity', c.sparsity, 'optimizer', c.optimizer, 'recipe', c.recipe)"
)
_RUN_ID = "'run_' || lpad((n * 1000 + source_run.rank)::text, 26, '0')"

_CHANGED = {"id", "study_id", "combination_id", "started_at", "ended_at"}
_RUN_COLUMNS = ", ".join(name for name in column_names(RunRow) if name not in _CHANGED)
_METRICS = field_names(EpochMetrics)

_COPIES = (
    f"""
INSERT INTO sweep (id, submitter, created_at, request, left_out)
SELECT 'sweep_' || lpad((n / {{sweep}})::text, 26, '0'), min({_SUBMITTER}),
    now() + min(shift), '{{{{"models": ["digits_cnn"], "datasets": ["digits"], "sparsifiers": '
    '["random", "rigl"], "sparsities": [0.5, 0.9]}}}}', '[]'
FROM copy GROUP BY n / {{sweep}}""",
    f"""
INSERT INTO study (id, combination_id, submitter, sweep_id, place, state, request, plan,
    created_at, started_at, ended_at, error, attempts, token, lease_owner, claimable_at,
    runs_ended)
SELECT copy.id, copy.combination_id, {_SUBMITTER},
    'sweep_' || lpad((n / {{sweep}})::text, 26, '0'), place,
    CASE WHEN failed THEN 'failed' ELSE state END,
    (request::jsonb || {_FIELDS})::json,
    (plan::jsonb || jsonb_build_object('combination', {_FIELDS}))::json,
    created_at + shift, started_at + shift, ended_at + shift,
    CASE WHEN failed THEN 'the data is not here' END, attempts, token, lease_owner, claimable_at,
    CASE WHEN with_runs THEN runs_ended ELSE 0 END
FROM copy JOIN study ON study.id = source_id JOIN combination c ON c.id = copy.combination_id""",
    f"""
INSERT INTO run (id, study_id, combination_id, started_at, ended_at, {_RUN_COLUMNS})
SELECT {_RUN_ID}, copy.id, copy.combination_id, started_at + shift, ended_at + shift,
    {_RUN_COLUMNS}
FROM copy JOIN run ON run.study_id = source_id JOIN source_run ON source_run.run_id = run.id
WHERE with_runs ORDER BY n, source_run.rank""",
    f"""
INSERT INTO run_metric (run_id, {", ".join(_METRICS)})
SELECT {_RUN_ID}, {", ".join(f"m.{name}" for name in _METRICS)}
FROM copy JOIN run ON run.study_id = source_id JOIN source_run ON source_run.run_id = run.id
JOIN run_metric m ON m.run_id = run.id WHERE with_runs AND n % {{curves_every}} = 1""",
    f"""
INSERT INTO study_event (study_id, at, kind, owner, source, state, reason, details)
SELECT copy.id, at + shift, kind, owner, source,
    CASE WHEN failed AND state = 'succeeded' THEN 'failed' ELSE state END, reason,
    CASE WHEN rank IS NULL THEN details
        ELSE jsonb_set(details::jsonb, '{{{{run_id}}}}', to_jsonb({_RUN_ID}))::json END
FROM copy JOIN study_event e ON e.study_id = source_id
LEFT JOIN source_run ON source_run.run_id = details ->> 'run_id'
WHERE with_runs OR rank IS NULL ORDER BY n, e.id""",
    """
INSERT INTO recommendation (id, combination_id, study_id, version, created_at, grade, alpha, beta,
    result, surface)
SELECT 'rec_' || lpad(n::text, 26, '0'), copy.combination_id, copy.id, copy.version,
    created_at + shift, grade, alpha, beta, result, surface
FROM copy JOIN recommendation r ON r.study_id = source_id WHERE NOT failed""",
    """
DELETE FROM run_metric USING run, source
WHERE run_metric.run_id = run.id AND run.study_id = source.id""",
    "DELETE FROM recommendation USING source WHERE study_id = source.id",
    "DELETE FROM study_event USING source WHERE study_id = source.id",
    "DELETE FROM run USING source WHERE study_id = source.id",
    "DELETE FROM study USING source WHERE study.id = source.id",
)

_QUEUE = f"""
INSERT INTO study (id, combination_id, submitter, place, state, request, plan, created_at,
    attempts, token, claimable_at)
SELECT 'study_' || lpad(clock.now::text || lpad(n::text, 7, '0'), 26, '0'), combination_id,
    {_SUBMITTER}, (ARRAY[0, 0, 0, -5, 5])[1 + n / 7 % 5], 'queued', request, plan, now(), 0, 0,
    now()
FROM generate_series(1, {{number}}) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS rank FROM (
    SELECT id, combination_id, request, plan FROM study ORDER BY id DESC LIMIT 1000
) AS newest) AS model ON model.rank = 1 + n % 1000,
(SELECT extract(epoch FROM clock_timestamp())::bigint AS now) AS clock"""
