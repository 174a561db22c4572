"""A real Prometheus scrapes the real dashboard while a run is at work, and knows afterwards what it moved."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from lab import lacking_tools
from lab.dashboard import Dashboard
from lab.needs import demand

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
PATIENCE = 30.0  # seconds
CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: unraid-rebalancer
    authorization:
      credentials_file: {token}
    static_configs:
      - targets: ["{target}"]
"""


def test_prometheus_follows_a_run(served: Dashboard, tmp_path: Path) -> None:
    demand(lacking_tools("prometheus"))
    with served.program(read_only=True) as reader:
        token = reader.headers["authorization"].removeprefix("Bearer ")
    with served.program() as program, prometheus(tmp_path, served, token) as asked:
        begun = program.post("/api/v1/schedules/slow/run").json()
        up = asked.until('up{job="unraid-rebalancer"}', above=0)
        copied = asked.until('rebalancer_running_copied_bytes{schedule="slow"}', above=0)
        planned = asked.value('rebalancer_running_planned_bytes{schedule="slow"}')
        program.post(f"/api/v1/executions/{begun['execution_id']}/cancel")
        cancelled = asked.until('rebalancer_executions_total{schedule="slow", status="cancelled"}', above=0)
        refused = [expression for expression in expressions() if not asked.understands(expression)]

    assert (up, cancelled) == (1, 1)
    assert 0 < copied <= planned
    assert refused == []


def expressions() -> list[str]:
    """Return what the dashboard for Grafana asks, its variables filled in as Grafana does."""
    panels = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [re.sub(r"\$__interval", "5m", one).replace("$schedule", ".*") for one in found]


class Asked:
    """The query API of Prometheus (HTTP API, "Instant queries")."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def value(self, expression: str) -> float | None:
        """Return the only value; None while there is none."""
        try:
            answer = self._client.get("/api/v1/query", params={"query": expression}).json()
        except (httpx.HTTPError, ValueError):  # it is starting
            return None
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def until(self, expression: str, *, above: float) -> float:
        """Wait until the value is above a number; returns it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            value = self.value(expression)
            if value is not None and value > above:
                return value
            time.sleep(0.1)
        raise AssertionError(f"{expression} is {self.value(expression)}")

    def understands(self, expression: str) -> bool:
        return self._client.get("/api/v1/query", params={"query": expression}).status_code == 200


@contextmanager
def prometheus(folder: Path, served: Dashboard, token: str) -> Iterator[Asked]:
    """Run Prometheus on a free port of this host until the block ends."""
    (folder / "token").write_text(token)
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(token=folder / "token", target=served.address.removeprefix("http://")))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        port = _port_of(process, folder / "prometheus.log")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False) as client:
            yield Asked(client)
    finally:
        process.terminate()
        process.wait(20)


def _port_of(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for connection in psutil.Process(process.pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
        time.sleep(0.1)
    raise AssertionError(f"Prometheus does not listen: {log.read_text()}")
