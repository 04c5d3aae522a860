"""The performance page: every row of speed and memory, its bar, and whether it is held, by one command.

What passes through: rows are measured one after the other, each side of a row in turns with what it is
measured against, and a table in Markdown comes out, with the machine that it ran on. A row that cannot be
measured says why and keeps no other from being measured.

    python -m benchmarks.performance --repeats 3 --sizes 100MB,1GB,8GB --json performance.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.measuring import BenchmarkError, positive_int
from benchmarks.performance_commands import measure_prompts, measure_serving_load, measure_small_convert
from benchmarks.performance_conversions import measure_checkpoints, measure_keras
from benchmarks.performance_many import measure_many
from benchmarks.performance_pipelines import measure_airflow, measure_pipelines
from benchmarks.performance_place import Place
from benchmarks.performance_rows import MISSED, Row, describe_machine, draw_markdown, to_json

ROWS: Mapping[str, Callable[[Place], list[Row]]] = MappingProxyType(
    {
        "prompt": measure_prompts,
        "small": measure_small_convert,
        "load": measure_serving_load,
        "airflow": measure_airflow,
        "pipeline": measure_pipelines,
        "checkpoint": measure_checkpoints,
        "keras": measure_keras,
        "many": measure_many,
    }
)
_UNITS_MB = {"MB": 1.0, "GB": 1000.0}
_DEFAULT_SIZES = "100MB,1GB"


def read_sizes(text: str) -> tuple[float, ...]:
    """Reads sizes such as "100MB,1GB", as a type for argparse.

    Returns:
        Megabytes of 10^6 bytes, rising.
    """
    sizes = set()
    for word in text.split(","):
        number, unit = word.strip()[:-2], word.strip()[-2:].upper()
        if unit not in _UNITS_MB or not number.replace(".", "", 1).isdigit() or not float(number):
            raise argparse.ArgumentTypeError(f"expected sizes such as 100MB,1GB, received {text!r}")
        sizes.add(float(number) * _UNITS_MB[unit])
    return tuple(sorted(sizes))


def measure_rows(names: Sequence[str], place: Place) -> list[Row]:
    """Measures the rows of these names; one that fails says so in its place."""
    rows: list[Row] = []
    for name in names:
        try:
            rows += ROWS[name](place)
        except BenchmarkError as error:
            rows.append(Row(name, note=" ".join(str(error).split())[-300:]))
    return rows


def set_bytecode(folder: Path | None) -> None:
    """Has measured processes keep bytecode in a folder, as an installed package has it, or none at all.

    Compiling takes two thirds of an import of TensorFlow. Some images and shells switch bytecode off.
    """
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    if folder is None:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        folder = Path(os.devnull)  # nor is any read that lies beside the modules
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def main() -> int:
    """Measures from the command line, prints the table, and ends with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description="Measure speed and memory, and judge them by their bars.")
    parser.add_argument(
        "--only", action="append", choices=list(ROWS), metavar="ROW", help="one of: " + ", ".join(ROWS)
    )
    parser.add_argument("--repeats", type=positive_int, default=3, help="rounds; medians count (default: 3)")
    parser.add_argument(
        "--sizes",
        type=read_sizes,
        default=read_sizes(_DEFAULT_SIZES),
        help=f"of checkpoints and Keras files (default: {_DEFAULT_SIZES}; Keras files up to 1GB)",
    )
    parser.add_argument(
        "--work-dir", type=Path, help="folder on the disk to measure (default: a temporary one)"
    )
    parser.add_argument(
        "--without-bytecode",
        action="store_true",
        help="let Python compile every module anew, as PYTHONDONTWRITEBYTECODE has it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    for folder in filter(None, (options.work_dir, options.json and options.json.absolute().parent)):
        if not folder.is_dir():
            parser.error(f"there is no folder {folder}")
    machine, started_s = describe_machine(), time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started_s:6.0f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="performance-", dir=options.work_dir) as folder:
        set_bytecode(None if options.without_bytecode else Path(folder) / "bytecode")
        place = Place(Path(folder), options.repeats, options.sizes, say)
        rows = measure_rows(options.only or list(ROWS), place)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": to_json(rows)}, indent=2) + "\n")
    compiled = "Every module compiled anew" if options.without_bytecode else "Modules from bytecode"
    print(f"Medians of {options.repeats} rounds in turns. {compiled}. {machine}\n")
    print(draw_markdown(rows))
    return 1 if any(row.verdict == MISSED for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
