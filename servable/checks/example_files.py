"""Examples in files of this machine, asked by this process alone: what `servable check --examples` does.

What passes through: TFRecord files and a plan come in, the report goes out. Pipelines take the same steps,
with many processes that count.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from servable.checks.example_counting import BatchCounter
from servable.checks.example_plan import ExamplesPlan, read_batches
from servable.checks.metrics import judge_tally
from servable.formats.tfrecords import read_record_file
from servable.report import Report


@dataclass(frozen=True, slots=True)
class ExampleFiles:
    """Examples in TFRecord files of this machine, counted in this process.

    Attributes:
        paths: Plain or gzipped.
    """

    paths: tuple[Path, ...]

    def judge(self, plan: ExamplesPlan) -> Report:
        """Asks the model every row.

        Raises:
            CheckError: A file cannot be read or is damaged, or TensorFlow's C++ library is not there.
        """
        with ExitStack() as stack:
            counter = BatchCounter(plan, plan.open_models(stack))
            stack.callback(counter.close)
            for path in self.paths:
                for batch in read_batches(read_record_file(path), plan, origin=path.name):
                    counter.count(batch)
            return judge_tally(counter.take(), plan)
