"""Executor of ServingPackager: a blessed Model comes in, a pack for platforms goes out."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from absl import logging
from tfx.dsl.components.base import base_executor

from components.artifacts import (
    find_local_dir,
    find_serving_dir,
    fresh_output_dirs,
    get_artifact,
    read_baseline,
    set_properties,
)
from components.blessing import find_input_name
from components.options import read_object, read_text
from components.saved_model_validator.executor import REPORT_FILE
from servable.checks.policy import CheckPolicy
from servable.checks.suite import check_servable
from servable.deploy.manifest import MANIFEST_FILE
from servable.deploy.options import PackOptions
from servable.deploy.packing import Pack, pack_servable
from servable.deploy.platforms import read_platforms
from servable.deploy.signing import PASSWORD_VARIABLE, SigningKey, find_signature_path
from servable.errors import CheckError, NotApprovedError
from servable.formats.publishing import publish_dir
from servable.report import Report

# In the artifact's directory, so that a signature has room beside it.
PACK_DIR: Final = "pack"


class Executor(base_executor.BaseExecutor):
    """Unpacks artifacts, packs once."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Packs the model, or says why it did not.

        Args:
            input_dict: `model` and `blessing`; `report` and `baseline` where there are any.
            output_dict: `pack`; filled in place.
            exec_properties: `model_name`, `model_version`; `platforms`, a JSON list; `options` and `policy`,
                JSON objects; `destination`, a folder; `signing_key`, a file.

        Raises:
            CheckError: There is no model, or a check could not be made. A model that is not fit to serve is
                not an error.
            DeployError: A file of the model is not the one that was checked, or the pack could not be made.
            ExportError: It could not be written.
            SettingsError: An option is wrong, or an artifact is not on a local file system.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        with fresh_output_dirs(output_dict):
            artifact = output_dict["pack"][0]
            try:
                pack = _pack(input_dict, exec_properties, find_local_dir(artifact.uri) / PACK_DIR)
            except NotApprovedError as error:
                logging.info("Nothing is packed: %s", error)
                set_properties(artifact, {"packed": 0, "reason": str(error)})
                return
            properties = _describe_pack(pack)
            folder = read_text(exec_properties, "destination")
            if folder:
                properties["destination"] = str(_copy_pack(pack, Path(folder)))
            set_properties(artifact, properties)


def _pack(input_dict: dict[str, list[Any]], exec_properties: dict[str, Any], pack_dir: Path) -> Pack:
    model = get_artifact(input_dict, "model")
    if model is None:
        raise CheckError("There is no model to pack.", expected="one Model artifact")
    blessing = get_artifact(input_dict, "blessing")
    if blessing is None or not blessing.get_int_custom_property("blessed"):
        raise NotApprovedError(
            "Only a blessed model is packed.",
            expected="a ModelBlessing that says so",
            received="none" if blessing is None else "a model that was not blessed",
            where=str(model.uri),
        )
    serving_dir = find_serving_dir(model)
    policy = CheckPolicy.from_dict(read_object(exec_properties.get("policy"), "policy"))
    baseline = read_baseline(get_artifact(input_dict, "baseline"))
    key = read_text(exec_properties, "signing_key")
    return pack_servable(
        serving_dir,
        pack_dir,
        report=_load_report(get_artifact(input_dict, "report"))
        or check_servable(serving_dir, baseline=baseline, policy=policy),
        platforms=read_platforms(json.loads(str(exec_properties["platforms"]))),
        name=str(exec_properties["model_name"]),
        version=_read_version(exec_properties),
        baseline=baseline,
        options=PackOptions.from_dict(read_object(exec_properties.get("options"), "options")),
        # On Kubeflow ids are rounded, and the name stands for it.
        mlmd_uuid=find_input_name("model") or f"{model.id} {model.uri}",
        key=SigningKey(Path(key), os.environ.get(PASSWORD_VARIABLE)) if key else None,
        limits=policy.make_limits(),
    )


def _load_report(artifact: Any | None) -> Report | None:
    if artifact is None:
        return None
    return Report.from_json((find_local_dir(artifact.uri) / REPORT_FILE).read_text(encoding="utf-8"))


def _read_version(exec_properties: dict[str, Any]) -> int:
    text = read_text(exec_properties, "model_version")
    # A whole number is one with a point on Kubeflow.
    return int(float(text)) if text else int(time.time())


def _describe_pack(pack: Pack) -> dict[str, str | int]:
    return {
        "packed": 1,
        "model_name": pack.name,
        # Text, since versions are larger than what a number of an artifact holds on Kubeflow.
        "model_version": str(pack.version),
        "platforms": json.dumps({platform.value: words for platform, words in pack.platforms.items()}),
        "model_digest": pack.model_digest,
        "root_digest": pack.root_digest,
        "notes": "\n".join(pack.notes),
    }


def _copy_pack(pack: Pack, folder: Path) -> Path:
    destination = folder / pack.name / str(pack.version)
    with publish_dir(destination, what="pack", last_file=MANIFEST_FILE) as scratch:
        shutil.copytree(pack.pack_dir, scratch)
    if pack.signature_path is not None:
        shutil.copyfile(pack.signature_path, find_signature_path(destination))
    return destination
