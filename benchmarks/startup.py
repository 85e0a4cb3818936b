"""Seconds and peak memory of whole processes: `--help`, importing the graph, a warm `ask` on one OCR task.

    python benchmarks/startup.py [--runs 5]

Warm: the index is built and files are in the operating system's cache; every run is a new process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROGRAM = str(Path(sys.executable).with_name("hugginggpt"))
INVOICE = str(Path(__file__).parents[1] / "examples" / "invoice.png")
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

CASES = {
    "hugginggpt --help": [PROGRAM, "--help"],
    "import hugginggpt.graph.app": [sys.executable, "-c", "import hugginggpt.graph.app"],
    "hugginggpt ask, one OCR task": [PROGRAM, "ask", "Read the text in this picture", "--file", INVOICE],
}


def measure(command: Sequence[str], home: str) -> tuple[float, float]:
    """Seconds and peak MB of one process. Raises `RuntimeError` when it fails."""
    started = time.perf_counter()
    environment = {**os.environ, "HUGGINGGPT_HOME": home}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        message = process.stderr.read().decode() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {message}")
    return time.perf_counter() - started, usage.ru_maxrss * UNIT / 1e6


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each case (default 5)")
    runs = parser.parse_args().runs
    table = Table("process", "median s", "fastest s", "slowest s", "peak MB", title=f"{runs} runs each")
    with tempfile.TemporaryDirectory() as home:
        for name, command in CASES.items():
            measure(command, home)
            seconds, megabytes = zip(*(measure(command, home) for _ in range(runs)), strict=True)
            times = [f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
            table.add_row(name, *times, f"{max(megabytes):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
