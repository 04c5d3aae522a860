"""The examples as one Apache Beam pipeline: read, ask the model, merge the counts, judge.

What passes through: files or record batches come in on any runner, one report goes out into a file. This only
wires up what `servable.checks` counts. Workers import this module: no TFX and no TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from components.saved_model_validator.arrow_columns import ExamplesDecoder, read_batch
from components.saved_model_validator.worker_models import acquire_models, release_models
from servable.checks.example_counting import BatchCounter
from servable.checks.example_plan import ExamplesPlan
from servable.checks.metrics import judge_tally
from servable.checks.tallies import Tally
from servable.errors import CheckError
from servable.formats.tf_examples import ExampleBatch, batch_records
from servable.formats.tfrecords import read_records
from servable.report import Report

# With fewer files than this, batches are dealt out to the workers, not files; but not when they are large,
# since some runners keep in memory what is dealt out.
_FEW_FILES = 16
_LARGE_BYTES = 1 << 30

# File, number of the first row within it, rows.
Rows = tuple[str, int, list[bytes]]


@dataclass(frozen=True, slots=True)
class BeamExamples:
    """Examples that a Beam pipeline asks the model.

    Attributes:
        make_pipeline: Gives a new pipeline with the user's options.
        report_path: File for the report, on a file system that workers and this process share.
        patterns: TFRecord files of tf.Examples, as globs.
        source: Gives Arrow's record batches, where the examples are anything else; takes rows a batch.
    """

    make_pipeline: Callable[[], Any]
    report_path: Path
    patterns: Sequence[str] = ()
    source: Callable[[int], Any] | None = None

    def judge(self, plan: ExamplesPlan) -> Report:
        """Runs the pipeline to its end.

        Raises:
            CheckError: There are no files, one is damaged, or the pipeline failed in another way.
        """
        # Found before it is built, so that a wrong pattern is told at once.
        reading = self._make_reading(plan)
        try:
            with self.make_pipeline() as pipeline:
                _ = (
                    pipeline
                    | "Read" >> reading
                    | "Ask" >> beam.ParDo(AskModel(plan))
                    | "Merge" >> beam.CombineGlobally(MergeTallies())
                    | "Judge" >> beam.ParDo(WriteReport(plan, str(self.report_path)))
                )
        except Exception as error:
            raise CheckError(
                "The Beam pipeline over the examples failed.",
                expected="files of examples, and the model at the same path on every worker",
                received=str(error) or repr(error),
                where=", ".join(self.patterns),
                advice="look into the log of the runner",
            ) from error
        report = Report.from_json(self.report_path.read_text(encoding="utf-8"))
        self.report_path.unlink()
        return report

    def _make_reading(self, plan: ExamplesPlan) -> Any:
        if self.source is not None:
            return ReadBatches(self.source(plan.policy.batch_rows), plan.features)
        return ReadFiles(self.patterns, rows=plan.policy.batch_rows, features=plan.features)


class ReadFiles(beam.PTransform):
    """Reads TFRecord files of tf.Examples as `ExampleBatch`es.

    Args:
        patterns: Globs of any file system that Beam knows.
        rows: Of a batch.
        features: Those that are wanted.

    Raises:
        CheckError: A pattern finds nothing.
    """

    def __init__(self, patterns: Sequence[str], *, rows: int, features: Sequence[str]) -> None:
        super().__init__()
        self._rows, self._features = rows, tuple(features)
        matches = FileSystems.match(list(patterns))
        for pattern, match in zip(patterns, matches, strict=True):
            if not match.metadata_list:
                raise CheckError(
                    "There are no examples.",
                    expected="TFRecord files of tf.Examples",
                    received="no file",
                    where=pattern,
                    advice="correct the path or the pattern",
                )
        found = {item.path: item.size_in_bytes for match in matches for item in match.metadata_list}
        self._files = tuple(sorted(found))
        self._is_dealt_out = len(found) < _FEW_FILES and sum(found.values()) < _LARGE_BYTES

    def expand(self, pipeline: Any) -> Any:
        """Builds the steps."""
        files = pipeline | "Files" >> beam.Create(self._files)
        if self._is_dealt_out:
            rows = files | "Rows" >> beam.ParDo(ReadRows(self._rows)) | "Deal" >> beam.Reshuffle()
        else:
            rows = files | "Deal" >> beam.Reshuffle() | "Rows" >> beam.ParDo(ReadRows(self._rows))
        return rows | "Decode" >> beam.ParDo(DecodeRows(self._features))


class ReadBatches(beam.PTransform):
    """Reads record batches, such as tfx-bsl gives, as `ExampleBatch`es of the wanted features."""

    def __init__(self, source: Any, features: Sequence[str]) -> None:
        super().__init__()
        self._source, self._features = source, tuple(features)

    def expand(self, pipeline: Any) -> Any:
        """Builds the steps."""
        return pipeline | "Source" >> self._source | "Columns" >> beam.ParDo(ReadColumns(self._features))


class ReadRows(beam.DoFn):
    """A file's rows, many together: one by one they would cost more than the model does."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def process(self, path: str) -> Iterator[Rows]:
        """Reads a file."""
        # Whether it is gzipped is told by its content, as for a file of this machine.
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            records = read_records(stream, where=path)
            for first, batch in batch_records(records, self._rows):
                yield path.rpartition("/")[2], first, batch


class DecodeRows(beam.DoFn):
    """Rows as columns."""

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__()
        self._features = features
        self._decoder: ExamplesDecoder | None = None

    def setup(self) -> None:
        """Makes the decoder, which cannot travel."""
        self._decoder = ExamplesDecoder(self._features)

    def process(self, element: Rows) -> Iterator[ExampleBatch]:
        """Decodes a batch."""
        origin, first, records = element
        assert self._decoder is not None
        yield self._decoder.decode(records, origin=origin, first=first)


class ReadColumns(beam.DoFn):
    """Arrow's record batches as columns."""

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__()
        self._features = features

    def process(self, element: Any) -> Iterator[ExampleBatch]:
        """Reads a batch."""
        yield read_batch(element, self._features)


class AskModel(beam.DoFn):
    """Asks the model; gives one tally for each bundle."""

    def __init__(self, plan: ExamplesPlan) -> None:
        super().__init__()
        self._plan = plan
        self._counter: BatchCounter | None = None

    def setup(self) -> None:
        """Takes the process's model."""
        self._counter = BatchCounter(self._plan, acquire_models(self._plan))

    def start_bundle(self) -> None:
        """Forgets what a bundle that failed may have counted."""
        assert self._counter is not None
        self._counter.take()

    def process(self, element: ExampleBatch) -> None:
        """Asks a batch."""
        assert self._counter is not None
        self._counter.count(element)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Gives what was counted."""
        assert self._counter is not None
        window = GlobalWindow()
        yield WindowedValue(self._counter.take(), window.max_timestamp(), (window,))

    def teardown(self) -> None:
        """Gives the model back."""
        if self._counter is not None:
            self._counter.close()
            self._counter = None
            release_models(self._plan)


class MergeTallies(beam.CombineFn):
    """Merges tallies, in any order."""

    def create_accumulator(self) -> Tally:
        """Gives an empty one."""
        return Tally()

    def add_input(self, accumulator: Tally, element: Tally) -> Tally:
        """Adds one."""
        accumulator.merge(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Tally]) -> Tally:
        """Adds up several."""
        merged = Tally()
        for one in accumulators:
            merged.merge(one)
        return merged

    def extract_output(self, accumulator: Tally) -> Tally:
        """Gives it."""
        return accumulator


class WriteReport(beam.DoFn):
    """Judges the tally, and writes the report where the executor finds it."""

    def __init__(self, plan: ExamplesPlan, path: str) -> None:
        super().__init__()
        self._plan, self._path = plan, path

    def process(self, element: Tally) -> None:
        """Writes the report."""
        with FileSystems.create(self._path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(judge_tally(element, self._plan).to_json().encode())
