"""The file system of one replayed task, and its command: what Kubeflow's launcher does in a pod.

What passes through: a container and its message come in; inputs are copied from the object store, the command
is executed, outputs are copied back, and what the command wrote as its output message goes out. Neither
TensorFlow nor TFX here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from components.source_probe.staging import STAGING_ROOT, find_staged_path

# A command and its environment come in; whether it succeeded goes out.
CommandRunner = Callable[[Sequence[str], Mapping[str, str]], bool]
_MESSAGE: Final = "{{$}}"


class Pod:
    """One attempt of one task, with a file system of its own.

    Args:
        root_dir: Stands for the root of the container; emptied first, as a new pod's is.
        find_stored_path: Where the object store keeps what an address names.
    """

    def __init__(self, root_dir: Path, find_stored_path: Callable[[str], Path]) -> None:
        self._root_dir = root_dir
        self._find_stored_path = find_stored_path
        shutil.rmtree(root_dir, ignore_errors=True)
        root_dir.mkdir(parents=True)

    def execute(
        self, container: Mapping[str, Any], message: Mapping[str, Any], run_command: CommandRunner
    ) -> dict[str, Any] | None:
        """Executes the container's command, after its check before the cache where it has one.

        Returns:
            The ExecutorOutput; None when the command failed. Outputs of such an attempt are not stored.
        """
        with self._stage_artifacts(message):
            outputs = message["outputs"]
            # The launcher makes the folders that outputs lie in, and not those of the outputs themselves.
            for path in self._list_output_paths(outputs):
                path.parent.mkdir(parents=True, exist_ok=True)
            told = json.loads(json.dumps(message))
            output_path = self._find_path(outputs["outputFile"])
            told["outputs"]["outputFile"] = str(output_path)
            for parameter in told["outputs"]["parameters"].values():
                parameter["outputFile"] = str(self._find_path(parameter["outputFile"]))
            text = json.dumps(told)
            environment = {one["name"]: one["value"] for one in container.get("env", ())}
            environment[STAGING_ROOT] = str(self._root_dir)
            for one in (container.get("lifecycle", {}).get("preCacheCheck"), container):
                if one is None:
                    continue
                command = [part.replace(_MESSAGE, text) for part in (*one["command"], *one["args"])]
                if not run_command(command, environment):
                    return None
            self._store_outputs(outputs)
            return dict(json.loads(output_path.read_text(encoding="utf-8")))

    @contextmanager
    def _stage_artifacts(self, message: Mapping[str, Any]) -> Iterator[None]:
        with set_variables({STAGING_ROOT: str(self._root_dir)}):
            for listed in message["inputs"]["artifacts"].values():
                for artifact in listed["artifacts"]:
                    stored_path = self._find_stored_path(artifact["uri"])
                    _copy(stored_path, Path(find_staged_path(artifact["uri"])))
            yield

    def _store_outputs(self, outputs: Mapping[str, Any]) -> None:
        for listed in outputs["artifacts"].values():
            for artifact in listed["artifacts"]:
                staged_path = Path(find_staged_path(artifact["uri"]))
                if staged_path.exists():
                    _copy(staged_path, self._find_stored_path(artifact["uri"]))

    def _list_output_paths(self, outputs: Mapping[str, Any]) -> Iterator[Path]:
        for listed in outputs["artifacts"].values():
            for artifact in listed["artifacts"]:
                yield Path(find_staged_path(artifact["uri"]))
        for parameter in outputs["parameters"].values():
            yield self._find_path(parameter["outputFile"])

    def _find_path(self, path: str) -> Path:
        return self._root_dir / path.removeprefix("/")


def run_in_subprocess(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Executes a container's command in a process of its own, with this interpreter as its Python."""
    done = subprocess.run(
        [sys.executable, *command[1:]], env={**os.environ, **environment}, check=False, timeout=1800
    )
    return done.returncode == 0


def run_in_process(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Executes a container's command in this process, which has TensorFlow and TFX already.

    Raises:
        ValueError: It is not one of this project's commands.
    """
    from components.source_probe import __main__ as source_probe
    from pipelines.on_kubeflow import task

    _, _, module, *arguments = command
    # Executors look for their message on the command line (components/blessing.py).
    before, sys.argv = sys.argv, [module, *arguments]
    try:
        with set_variables(environment):
            if module == "components.source_probe":
                return source_probe.main(arguments) == 0
            if module == "pipelines.on_kubeflow.task":
                task.main(arguments)
                return True
    except Exception:
        traceback.print_exc()
        return False
    finally:
        sys.argv = before
    raise ValueError(f"no command of this project: {module}")


@contextmanager
def set_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of this process for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, destination)
