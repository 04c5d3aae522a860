"""The container command of every TFX node on Kubeflow: TFX's own, with folders in place of addresses.

What passes through: Kubeflow's message comes in with addresses of an object store; executors, TFX's Pusher
among them, are given local folders; what they made is moved to where Kubeflow's launcher takes it from, and
the message that goes out has the addresses again. Nothing is moved of an attempt that failed, so that the
next one, which Kubeflow gives the same addresses, begins with nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from components.source_probe.staging import find_staged_path
from pipelines.on_kubeflow.start import lighten_start
from servable.errors import SettingsError

_INVOCATION: Final = "--json_serialized_invocation_args"
_OUTPUT_FILE: Final = "executor_output.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one task.

    Args:
        arguments: As TFX's `kubeflow_v2_run_executor` takes them; those of this process by default.

    Raises:
        SettingsError: There is no message in the arguments.
        Exception: Whatever the executor raises.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if _INVOCATION not in given[:-1]:
        raise SettingsError(
            "This is the command of a Kubeflow task.",
            expected=f"{_INVOCATION} JSON",
            received=" ".join(given) or "no arguments",
            advice="compile a pipeline with: python -m pipelines kubeflow CONFIG --out pipeline.yaml",
        )
    place = given.index(_INVOCATION) + 1
    message = json.loads(given[place])
    with tempfile.TemporaryDirectory(prefix="kubeflow-task-") as folder:
        task = _LocalTask(message, Path(folder))
        given[place] = json.dumps(task.message)
        try:
            _run_executor(given)
        finally:
            task.keep_leftovers()
        task.publish()


class _LocalTask:
    """A task's message in local terms, and the way back."""

    def __init__(self, message: Mapping[str, Any], folder: Path) -> None:
        self.message: dict[str, Any] = json.loads(json.dumps(message))
        outputs = self.message["outputs"]
        self._output_path = Path(find_staged_path(outputs["outputFile"]))
        # TFX takes the name of the folder for the task's own.
        self._scratch_dir = folder / (self._output_path.parent.name or "task")
        self._scratch_dir.mkdir()
        self._uris: dict[str, str] = {}
        for artifact in _list_artifacts(self.message.get("inputs", {})):
            local = find_staged_path(artifact["uri"])
            self._uris[local], artifact["uri"] = artifact["uri"], local
        self._outputs: dict[Path, Path] = {}
        for artifact in _list_artifacts(outputs):
            staged_path = Path(find_staged_path(artifact["uri"]))
            scratch_path = self._scratch_dir / staged_path.name
            self._outputs[scratch_path] = staged_path
            self._uris[str(scratch_path)] = artifact["uri"]
            artifact["uri"] = str(scratch_path)
        outputs["outputFile"] = str(self._scratch_dir / _OUTPUT_FILE)
        if self._output_path.is_file():
            # Left by Vertex AI's check before the cache, with parameters that TFX adds to the node's own.
            shutil.copyfile(self._output_path, outputs["outputFile"])

    def publish(self) -> None:
        """Moves outputs to where they are taken from, and the message with them."""
        for scratch_path, staged_path in self._outputs.items():
            if scratch_path.exists():
                _replace(scratch_path, staged_path)
        written = json.loads((self._scratch_dir / _OUTPUT_FILE).read_text(encoding="utf-8"))
        self._output_path.parent.mkdir(parents=True, exist_ok=True)
        self._output_path.write_text(json.dumps(self._put_uris(written)), encoding="utf-8")

    def keep_leftovers(self) -> None:
        """Moves what an executor put beside its outputs, such as the report of a model that was refused."""
        ours = {path.name for path in self._outputs} | {_OUTPUT_FILE, ".temp"}
        for path in self._scratch_dir.iterdir():
            if path.name not in ours:
                for staged_path in list(self._outputs.values())[:1]:
                    _replace(path, staged_path.with_name(path.name))
                    sys.stderr.write(f"Kept: {staged_path.with_name(path.name)}\n")

    def _put_uris(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._put_uris(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._put_uris(one) for one in value]
        if isinstance(value, str):
            for local, uri in self._uris.items():
                if value == local or value.startswith(f"{local}/"):
                    return uri + value.removeprefix(local)
        return value


def _list_artifacts(side: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for listed in side.get("artifacts", {}).values():
        yield from listed.get("artifacts", [])


def _replace(source: Path, destination: Path) -> None:
    if destination.is_dir():
        shutil.rmtree(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, destination)


def _run_executor(arguments: Sequence[str]) -> None:
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(list(arguments)))


if __name__ == "__main__":
    lighten_start(sys.argv[1:])
    main()
