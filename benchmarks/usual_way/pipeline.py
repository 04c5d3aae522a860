"""The usual way to run three nodes: `tfx.components.Pusher` behind two of one's own, with LocalDagRunner.

What passes through: a checkpoint and a folder go in, a pushed version comes out.

    python -m benchmarks.usual_way.pipeline PREFIX WORK_DIR INPUT_TENSOR ROW_SHAPE OUTPUT_TENSOR
"""

from __future__ import annotations

import sys
from pathlib import Path

from tfx import v1 as tfx

from benchmarks.usual_way.components import Checker, Converter


def run_pipeline(
    prefix: str, work_dir: Path, *, input_tensor: str, row_shape: str, output_tensor: str
) -> None:
    """Converts, checks and pushes.

    Args:
        prefix: Checkpoint without .index.
        work_dir: Takes artifacts, metadata and the pushed model.
        input_tensor: Tensor that requests feed.
        row_shape: One row of it, as JSON.
        output_tensor: Tensor that answers.
    """
    converter = Converter(prefix=prefix, input_tensor=input_tensor, output_tensor=output_tensor)
    checker = Checker(model=converter.outputs["model"], row_shape=row_shape)
    pusher = tfx.components.Pusher(
        model=converter.outputs["model"],
        model_blessing=checker.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(work_dir / "pushed"))
        ),
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="usual",
        pipeline_root=str(work_dir / "root"),
        components=[converter, checker, pusher],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(work_dir / "metadata.sqlite")
        ),
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)


if __name__ == "__main__":
    prefix, work_dir, input_tensor, row_shape, output_tensor = sys.argv[1:]
    run_pipeline(
        prefix,
        Path(work_dir),
        input_tensor=input_tensor,
        row_shape=row_shape,
        output_tensor=output_tensor,
    )
