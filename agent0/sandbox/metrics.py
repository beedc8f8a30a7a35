"""The gauges of a pool as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agent0.sandbox.pool import SandboxPool


class PoolCollector:
    """Reads the pool each time it is scraped; yields nothing while the pool is not running."""

    def __init__(self, pool: SandboxPool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """The metric families."""
        if not self._pool.running:
            return
        gauges = self._pool.gauges()
        yield GaugeMetricFamily("agent0_sandbox_queued", "Programs that wait for a worker.", gauges.queued)
        yield GaugeMetricFamily("agent0_sandbox_running", "Programs in progress.", gauges.running)
        finished = CounterMetricFamily("agent0_sandbox_finished", "Programs by status.", labels=["status"])
        for status, count in gauges.finished.items():
            finished.add_metric([status], count)
        yield finished
        yield CounterMetricFamily("agent0_sandbox_kills", "Programs that the sandbox ended.", gauges.kills)
        yield CounterMetricFamily("agent0_sandbox_restarts", "Fork servers replaced after a crash.", gauges.restarts)
        yield CounterMetricFamily("agent0_sandbox_recycled", "Fork servers replaced by plan.", gauges.recycled)
        latency = GaugeMetricFamily(
            "agent0_sandbox_latency_seconds", "From submission to result, of the last programs.", labels=["quantile"]
        )
        latency.add_metric(["0.5"], gauges.p50_seconds)
        latency.add_metric(["0.99"], gauges.p99_seconds)
        yield latency
