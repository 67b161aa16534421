"""Prometheus metrics: requests counted in this process, everything else read from the database.

Numbers from the database are the same in every API process and must not be summed over processes.
Request counts are those of one process and must be summed.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service.storage.operations.monitor import Monitor

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one application."""

    def __init__(self, monitor: Monitor) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Database(monitor))
        labels = ("method", "route", "status")
        self._requests = Counter(
            "hamtune_http_requests", "Requests answered.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "hamtune_http_request_seconds",
            "Time from the first byte of a request to the end of its answer.",
            ("method", "route"),
            registry=self._registry,
            buckets=_BUCKETS,
        )

        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        if key not in self._children:
            answered = self._requests.labels(method, route, str(status))
            self._children[key] = answered, self._seconds.labels(method, route)
        answered, took = self._children[key]
        answered.inc()
        took.observe(seconds)

    def page(self) -> tuple[bytes, str]:
        """Return all metrics in Prometheus's text format, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _Database(Collector):
    """Reads the database at every scrape, so that every process reports the same numbers."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        snapshot = self._monitor.snapshot()
        studies = GaugeMetricFamily("hamtune_studies", "Studies by state.", labels=["state"])
        for state, count in snapshot.studies.items():
            studies.add_metric([state.value], count)
        yield studies
        for name, text, value in (
            ("hamtune_queue_depth", "Studies that wait for a scheduler.", snapshot.claimable),
            (
                "hamtune_queue_longest_wait_seconds",
                "Age of the oldest study that waits for a scheduler.",
                snapshot.longest_wait.total_seconds(),
            ),
            ("hamtune_schedulers", "Schedulers with a live study lease.", snapshot.schedulers),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        running = GaugeMetricFamily(
            "hamtune_runs_running",
            "Running trainings, which are the workers in use.",
            labels=["purpose"],
        )
        for purpose, count in snapshot.running_runs.items():
            running.add_metric([purpose.value], count)
        yield running
        ended = GaugeMetricFamily(
            "hamtune_runs_ended_5m",
            "Trainings that ended within the last five minutes.",
            labels=["purpose", "state"],
        )
        for (purpose, run_state), count in snapshot.ended_runs.items():
            ended.add_metric([purpose.value, run_state.value], count)
        yield ended
