"""How examples are read: files that are named, or an Examples artifact of whatever payload tfx-bsl knows.

What passes through: the executor's inputs come in, `BeamExamples` go out. Beam is imported when there are
examples, and not before: checks without them are as fast as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from servable.checks.example_plan import ExamplesSource
from servable.checks.metrics_policy import MetricsPolicy
from servable.errors import SettingsError

# Of Beam 2.77, under their names and the names of their classes: all of them would first download another
# runner, Prism, and run on this one when that fails.
_LOCAL_RUNNERS = frozenset({"directrunner", "switchingdirectrunner", "apache_beam.runners.directrunner"})
_IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_REPORT_FILE = "examples.json"
_TELEMETRY = ("SavedModelValidator",)
_PLAIN_PAYLOAD, _PLAIN_FILES = "FORMAT_TF_EXAMPLE", "tfrecords_gzip"


def choose_runner(beam_pipeline_args: Sequence[str]) -> list[str]:
    """Names the in-process runner where none, or the local one, is asked for.

    Args:
        beam_pipeline_args: As the user gave them; options such as ``--direct_num_workers=2`` hold for it too.
    """
    kept: list[str] = []
    runner = ""
    words = iter(beam_pipeline_args)
    for word in words:
        name, separator, value = word.partition("=")
        if name == "--runner":
            runner = value if separator else next(words, "")
        else:
            kept.append(word)
    if not runner or runner.lower() in _LOCAL_RUNNERS:
        runner = _IN_PROCESS_RUNNER
    return [*kept, f"--runner={runner}"]


def require_measured(metrics: MetricsPolicy | None, examples: Any | None, files: str | Path | None) -> None:
    """Refuses examples that are given twice, or of which nothing is to be measured.

    Args:
        metrics: Section of the policy.
        examples: Channel of Examples.
        files: Or a glob.

    Raises:
        SettingsError: They are.
    """
    if examples is not None and files is not None:
        raise SettingsError(
            "There are examples twice.",
            expected="a channel, or files",
            received=f"a channel, and the files {files}",
        )
    if metrics is None and (examples is not None or files is not None):
        raise SettingsError(
            "There are examples, and nothing is to be measured on them.",
            expected="section metrics in the policy",
            received="no such section",
            advice='add "metrics": {"label": FEATURE, "task": "classification"} to the policy',
        )


def open_examples(
    artifacts: Sequence[Any],
    pattern: str | None,
    metrics: MetricsPolicy | None,
    *,
    output_dir: Path,
    make_pipeline: Callable[[], Any],
) -> ExamplesSource | None:
    """Says how the examples are read; None where there are none.

    Args:
        artifacts: Examples, of one payload.
        pattern: Or TFRecord files of tf.Examples, as a glob; Airflow hands on 'None' for none.
        metrics: Section of the policy; without it nothing is read.
        output_dir: Where the pipeline may leave its report for a moment.
        make_pipeline: Gives a Beam pipeline with the user's options.

    Raises:
        SettingsError: An artifact has no such split.
    """
    if metrics is None or not (artifacts or pattern not in (None, "", "None")):
        return None
    from components.saved_model_validator.beam_pipeline import BeamExamples

    report_path = output_dir / _REPORT_FILE
    if not artifacts:
        return BeamExamples(make_pipeline, report_path, patterns=(str(pattern),))
    _require_split(artifacts, metrics.split)
    from tfx.components.util import examples_utils

    payloads = {examples_utils.get_payload_format_string(artifact) for artifact in artifacts}
    files = {examples_utils.get_file_format(artifact) for artifact in artifacts}
    if payloads == {_PLAIN_PAYLOAD} and files == {_PLAIN_FILES}:
        patterns = examples_utils.get_split_file_patterns(list(artifacts), metrics.split)
        return BeamExamples(make_pipeline, report_path, patterns=tuple(patterns))
    return BeamExamples(make_pipeline, report_path, source=_Source(artifacts, metrics.split))


def _require_split(artifacts: Sequence[Any], split: str) -> None:
    from tfx.types import artifact_utils

    for artifact in artifacts:
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise SettingsError(
                "The examples have no such split.",
                expected=", ".join(splits) or "some split",
                received=split,
                where=artifact.uri,
                advice="name one of these as split in section metrics of the policy",
            )


class _Source:
    """tfx-bsl's own reader of a payload."""

    def __init__(self, artifacts: Sequence[Any], split: str) -> None:
        self._artifacts, self._split = list(artifacts), split

    def __call__(self, rows: int) -> Any:
        from tfx.components.util import examples_utils, tfxio_utils

        from components.saved_model_validator.arrow_columns import RAW_COLUMN

        payload = examples_utils.get_payload_format_string(self._artifacts[0])
        reader = tfxio_utils.get_split_tfxio(
            self._artifacts,
            self._split,
            list(_TELEMETRY),
            # Of Parquet there are no rows as they were stored.
            raw_record_column_name=None if payload == "FORMAT_PARQUET" else RAW_COLUMN,
        )
        return reader.BeamSource(batch_size=rows)
