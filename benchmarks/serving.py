"""What `servable serve` costs: time to start, and calls through each interface against the C API alone.

What passes through: a SavedModel is served by a process of its own; clients, each a process too, call it for
some seconds. The C API is called in one process without a server, which is what the ratios refer to.

    python -m benchmarks.serving tests/data/zoo/tf1.12-sm_simple-a/artifact/saved/1 --json serving.json
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import REPOSITORY_DIR, draw_table, positive_float, positive_int

_INTERFACES = ("grpc", "rest", "eas")
_NAME = "model"


@contextmanager
def start_server(saved_model_dir: Path) -> Iterator[tuple[dict[str, str], float]]:
    """Starts `servable serve` and ends it; gives its addresses and the time from Enter to ready in s."""
    command = [sys.executable, "-m", "servable.cli", "serve", str(saved_model_dir), "--json"]
    started_s = time.perf_counter()
    server = subprocess.Popen(
        [*command, "--name", _NAME, "--port=0", "--grpc-port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY_DIR,
        text=True,
    )
    assert server.stdout is not None
    try:
        facts = json.loads(server.stdout.readline())
        yield facts, time.perf_counter() - started_s
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def run_clients(how: str, place: str, *, clients: int, options: argparse.Namespace, rows: int) -> list[float]:
    """Runs clients side by side; gives the times of all their calls in s."""
    command = [sys.executable, "-m", "benchmarks.serving_calls", how, place, "--name", _NAME]
    command += ["--key", options.key, "--width", str(options.width)]
    command += ["--rows", str(rows), "--seconds", str(options.seconds)]
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPOSITORY_DIR, text=True
        )
        for _ in range(clients)
    ]
    outputs = [process.communicate()[0] for process in processes]
    return [seconds for output in outputs for seconds in json.loads(output)]


def summarize(times_s: list[float], seconds: float) -> dict[str, float]:
    """Gives p50 and p99 in s, and calls per s."""
    ordered = sorted(times_s)
    last = max(0, math.ceil(0.99 * len(ordered)) - 1)
    return {"p50_s": median(ordered), "p99_s": ordered[last], "calls_per_s": len(ordered) / seconds}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Starts servers and clients.

    Returns:
        starts_s, and rows with what, rows, clients, p50_s, p99_s, calls_per_s, p50_ratio, calls_ratio.
    """
    starts_s = []
    for _ in range(options.starts):
        with start_server(options.saved_model) as (_facts, start_s):
            starts_s.append(start_s)
    table = []
    for rows in options.rows:
        times = run_clients("direct", str(options.saved_model), clients=1, options=options, rows=rows)
        direct = summarize(times, options.seconds)
        table.append({"what": "C API alone", "rows": rows, "clients": 1, **direct})
        with start_server(options.saved_model) as (facts, _):
            for how in _INTERFACES:
                for clients in (1, options.clients):
                    times = run_clients(how, facts[how], clients=clients, options=options, rows=rows)
                    own = summarize(times, options.seconds)
                    ratios = {
                        "p50_ratio": own["p50_s"] / direct["p50_s"],
                        "calls_ratio": own["calls_per_s"] / direct["calls_per_s"],
                    }
                    table.append({"what": how, "rows": rows, "clients": clients, **own, **ratios})
    return {"starts_s": starts_s, "rows": table}


def main() -> int:
    """Measures from the command line and prints tables."""
    parser = argparse.ArgumentParser(description="Measure what `servable serve` costs.")
    parser.add_argument("saved_model", type=Path, help="with one input of rows, in serving_default")
    parser.add_argument("--key", default="x", help="of that input (default: x)")
    parser.add_argument("--width", type=positive_int, default=784, help="of its rows (default: 784)")
    parser.add_argument("--rows", type=positive_int, nargs="+", default=[1, 64], help="default: 1 64")
    parser.add_argument("--clients", type=positive_int, default=4, help="side by side (default: 4)")
    parser.add_argument("--seconds", type=positive_float, default=3.0, help="of calls (default: 3)")
    parser.add_argument("--starts", type=positive_int, default=5, help="default: 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    options.saved_model = options.saved_model.absolute()
    figures = measure(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"from Enter to ready: {median(figures['starts_s']):.2f} s (median of {options.starts})\n")
    cells = [
        (
            str(row["what"]),
            str(row["rows"]),
            str(row["clients"]),
            f"{row['p50_s'] * 1e3:.2f} ms",
            f"{row['p99_s'] * 1e3:.2f} ms",
            f"{row['calls_per_s']:,.0f}",
            f"{row.get('p50_ratio', 1.0):.1f}x",
            f"{row.get('calls_ratio', 1.0):.2f}x",
        )
        for row in figures["rows"]
    ]
    head = ("called", "rows", "clients", "p50", "p99", "calls/s", "p50 to C API", "calls/s to C API")
    print(draw_table(head, cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
