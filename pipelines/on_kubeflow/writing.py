"""A compiled pipeline as the file that Kubeflow or Vertex AI takes.

What passes through: a compiled job comes in, one file goes out: YAML with the pipeline, and with the volumes
as its second document, for Kubeflow; JSON with the whole job for Vertex AI. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.kubeflow_v2 import make_platform_spec
from pipelines.on_kubeflow.runner_file import Backend, KubeflowSettings
from servable.errors import SettingsError


def write_job(job: Mapping[str, Any], runner: KubeflowSettings, path: Path) -> None:
    """Writes the file, in one move.

    Args:
        job: As `compile_settings` made it.
        runner: Says what takes it.
        path: ``*.yaml`` for Kubeflow, ``*.json`` for Vertex AI; replaced when it is there.

    Raises:
        SettingsError: The file's name is that of the other kind.
        OSError: It cannot be written.
    """
    check_out_path(runner, path)
    if runner.backend is Backend.VERTEX:
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
    else:
        spec = dict(job["pipelineSpec"])
        platform = make_platform_spec(spec, runner)
        # Not dump_all with anchors: the second document repeats its mounts.
        text = "---\n".join(_write_yaml(one) for one in (spec, platform) if one is not None)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def check_out_path(runner: KubeflowSettings, path: Path) -> None:
    """Makes sure, before anything is compiled, that the file has the right name.

    Raises:
        SettingsError: It has not.
    """
    wanted = (".json",) if runner.backend is Backend.VERTEX else (".yaml", ".yml")
    if path.suffix not in wanted:
        raise SettingsError(
            f"Backend {runner.backend} takes another kind of file.",
            expected=" or ".join(f"*{suffix}" for suffix in wanted),
            received=path.name,
            advice="name another file with --out, or the other backend in the runner file",
        )


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=True, allow_unicode=True, width=110)
