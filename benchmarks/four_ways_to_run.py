"""The four runners as `four_runners.py` sees them: run once, tell what was executed, be killed in mid-task.

What passes through: a settings file comes in; commands are run as a user would run them, and what ML
Metadata, or Kubeflow's replayed backend, has of the run goes out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from examples.digits.places import TF1_MODEL
from pipelines.metadata.records import read_executions
from pipelines.on_kubeflow.replay import ReplayedBackend
from pipelines.on_kubeflow.replay_inputs import TaskState
from pipelines.on_kubeflow.replay_pod import run_in_subprocess
from pipelines.settings_file import load_settings

_REPOSITORY = Path(__file__).resolve().parents[1]
_AIRFLOW_BIN = _REPOSITORY / ".venv-airflow" / "bin"
_CONVERT = f"convert_{TF1_MODEL}"
_START_S = 600.0
# A conversion has read its source by then, and not yet published.
_INTO_THE_TASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Nodes of one run that did work, and those whose earlier result was taken."""

    executed: int
    cached: int


class Way(Protocol):
    """A runner, with the settings that it runs."""

    def run(self) -> Counts:
        """Runs to the end."""

    def kill_run(self) -> None:
        """Begins a run and kills it in the middle of a conversion."""


class _Recorded:
    """A runner that is a command, and that writes into the settings' ML Metadata."""

    def __init__(self, config_path: Path, folder: Path) -> None:
        self._config_path, self._folder = config_path, folder
        self._settings = load_settings(config_path)
        self._last_id = 0

    def make_command(self) -> list[str]:
        """Gives the command of one run."""
        raise NotImplementedError

    def make_environment(self) -> dict[str, str]:
        """Gives the variables of its process."""
        return dict(os.environ)

    def run(self) -> Counts:
        """Runs to the end.

        Raises:
            RuntimeError: The command failed.
        """
        with (self._folder / "log.txt").open("ab") as log:
            code = subprocess.run(
                self.make_command(), env=self.make_environment(), stdout=log, stderr=log, check=False
            ).returncode
        if code:
            raise RuntimeError(f"exit code {code}, see {self._folder / 'log.txt'}")
        return self._count()

    def kill_run(self) -> None:
        """Kills all processes of a run, two seconds into its conversion."""
        model_dir = self._settings.pipeline.root / _CONVERT / "model"
        before = set(model_dir.iterdir())
        with (self._folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                self.make_command(),
                env=self.make_environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _START_S
        while set(model_dir.iterdir()) == before:
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise RuntimeError(f"the run did not convert, see {self._folder / 'log.txt'}")
            time.sleep(0.05)
        time.sleep(_INTO_THE_TASK_S)
        for pid in [*_list_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self._count()

    def _count(self) -> Counts:
        executions = read_executions(self._settings.pipeline.metadata, self._settings.pipeline.name)
        new = [item for item in executions if item.id > self._last_id]
        self._last_id = max((item.id for item in executions), default=0)
        states = [item.state for item in new]
        return Counts(states.count("complete"), states.count("cached"))


class LocalWay(_Recorded):
    """LocalDagRunner."""

    def make_command(self) -> list[str]:
        """Gives the command of one run."""
        return [sys.executable, "-m", "pipelines", "local", str(self._config_path)]


class BeamWay(_Recorded):
    """BeamDagRunner."""

    def make_command(self) -> list[str]:
        """Gives the command of one run."""
        return [sys.executable, "-m", "pipelines", "beam", str(self._config_path)]


class AirflowWay(_Recorded):
    """AirflowDagRunner, by `airflow dags test`, in the environment that `nox -s airflow` makes."""

    def __init__(self, config_path: Path, folder: Path) -> None:
        super().__init__(config_path, folder)
        dags = folder / "home" / "dags"
        dags.mkdir(parents=True)
        write = [str(_AIRFLOW_BIN / "python"), "-m", "pipelines", "airflow", str(config_path)]
        with (folder / "log.txt").open("ab") as log:
            for command in (
                [*write, "--dags-folder", str(dags)],
                [str(_AIRFLOW_BIN / "airflow"), "db", "migrate"],
            ):
                environment = self.make_environment()
                subprocess.run(command, env=environment, stdout=log, stderr=log, check=True, cwd=_REPOSITORY)

    def make_environment(self) -> dict[str, str]:
        """Gives the variables of its process."""
        home = str(self._folder / "home")
        return {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def make_command(self) -> list[str]:
        """Gives the command of one run."""
        return [str(_AIRFLOW_BIN / "airflow"), "dags", "test", self._settings.pipeline.name]


class KubeflowWay:
    """KubeflowV2DagRunner: the compiled specification, its container commands run as processes."""

    def __init__(self, config_path: Path, folder: Path) -> None:
        from pipelines.kubeflow_v2 import compile_settings
        from pipelines.on_kubeflow.runner_file import KubeflowSettings

        volume = {"claim": "models", "mount": str(folder)}
        runner = KubeflowSettings.model_validate({"image": "servable:1", "volumes": [volume]})
        self._spec = compile_settings(load_settings(config_path), runner)["pipelineSpec"]
        self._backend = ReplayedBackend(folder / "replay", self._run_command)
        self._kills = 0

    def run(self) -> Counts:
        """Runs to the end, without the pause between the attempts of a task.

        Raises:
            RuntimeError: A task failed.
        """
        results = self._backend.run(self._spec)
        states = [result.state for name, result in results.items() if not name.startswith("probe")]
        if TaskState.FAILED in states:
            raise RuntimeError(f"failed tasks: {results}")
        return Counts(states.count(TaskState.MISS), states.count(TaskState.HIT))

    def kill_run(self) -> None:
        """Has the first attempt of the next conversion killed; the backend tries again by itself."""
        self._kills = 1

    def _run_command(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        if not self._kills or not any("checkpoint_importer" in word for word in command):
            return run_in_subprocess(command, environment)
        self._kills = 0
        here = [sys.executable, *command[1:]]
        process = subprocess.Popen(here, env={**os.environ, **environment}, start_new_session=True)
        # The interpreter starts and imports; then it is in the middle of its work.
        deadline_s = time.monotonic() + _START_S
        while process.poll() is None and not list(_list_descendants(process.pid)):
            if time.monotonic() > deadline_s:
                raise RuntimeError("the task did not convert")
            time.sleep(0.05)
        time.sleep(_INTO_THE_TASK_S)
        for pid in [*_list_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        return False


WAYS: dict[str, Callable[[Path, Path], Way]] = {
    "local": LocalWay,
    "beam": BeamWay,
    "airflow": AirflowWay,
    "kubeflow": KubeflowWay,
}


def _list_descendants(pid: int) -> Iterator[int]:
    """Lists the processes below one, the deepest first."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _list_descendants(int(child))
                yield int(child)
