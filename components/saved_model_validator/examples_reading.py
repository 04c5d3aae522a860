"""How examples are read: files that are named, or an Examples artifact of whatever payload tfx-bsl knows.

What passes through: the executor's inputs come in, `BeamExamples` go out. Beam is imported when there are
examples, and not before: checks without them are as fast as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servable.errors import SettingsError

if TYPE_CHECKING:
    from components.saved_model_validator.beam_pipeline import BeamExamples

# Of Beam 2.77, under their names and the names of their classes: all of them would first download another
# runner, Prism, and run on this one when that fails.
_LOCAL_RUNNERS = frozenset({"directrunner", "switchingdirectrunner", "apache_beam.runners.directrunner"})
_IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
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


def read_examples(
    artifacts: Sequence[Any],
    pattern: str,
    *,
    split: str,
    report_path: Path,
    make_pipeline: Callable[[], Any],
) -> BeamExamples:
    """Says how the examples are read.

    Args:
        artifacts: Examples, of one payload.
        pattern: Or TFRecord files of tf.Examples, as a glob.
        split: Of the artifacts.
        report_path: Where the pipeline leaves its report.
        make_pipeline: Gives a Beam pipeline with the user's options.

    Raises:
        SettingsError: An artifact has no such split.
    """
    from components.saved_model_validator.beam_pipeline import BeamExamples

    if not artifacts:
        return BeamExamples(make_pipeline, report_path, patterns=(pattern,))
    from tfx.components.util import examples_utils
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
    payloads = {examples_utils.get_payload_format_string(artifact) for artifact in artifacts}
    files = {examples_utils.get_file_format(artifact) for artifact in artifacts}
    if payloads == {_PLAIN_PAYLOAD} and files == {_PLAIN_FILES}:
        patterns = examples_utils.get_split_file_patterns(list(artifacts), split)
        return BeamExamples(make_pipeline, report_path, patterns=tuple(patterns))
    return BeamExamples(make_pipeline, report_path, source=_Source(artifacts, split))


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
