"""What each platform wants beside the model: descriptors, archives, warm-up files.

What passes through: a staged model and all that was chosen for it come in; files go out, and notes of what
the user has to know or do. One function for each platform.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from servable.baseline import Baseline
from servable.deploy.approval import Approval
from servable.deploy.archives import write_tar_gz, write_zip
from servable.deploy.batching import BatchPlan
from servable.deploy.eas import (
    CREATE_FILE,
    MODIFY_FILE,
    WARM_UP_FILE,
    describe_modification,
    describe_service,
)
from servable.deploy.eas_warm_up import choose_signature, write_eas_warm_up
from servable.deploy.kserve import describe_inference_service, write_yaml
from servable.deploy.options import PackOptions
from servable.deploy.platforms import Platform
from servable.deploy.tf_serving import (
    BATCHING_FILE,
    MODELS_CONFIG_FILE,
    write_batching_parameters,
    write_models_config,
)
from servable.deploy.uploads import describe_sagemaker_model, describe_vertex_upload
from servable.deploy.warm_up import read_served_signatures
from servable.errors import DeployError
from servable.model import Progress
from servable.runtime.outcome import Limits

_SAGEMAKER_ARCHIVE: Final = "model.tar.gz"


@dataclass(frozen=True, slots=True)
class StagedModel:
    """A checked model where a pack is made of it.

    Attributes:
        name: Of the model.
        version: Of its folder.
        model_dir: The copy, which may hold more than was checked.
        approval: What was checked.
        baseline: Inputs for warm-up requests.
        plan: How requests are joined.
        options: The user's.
        limits: Of the runtime that answers warm-up requests.
        progress: Told of the bytes archived.
    """

    name: str
    version: int
    model_dir: Path
    approval: Approval
    baseline: Baseline | None
    plan: BatchPlan
    options: PackOptions
    limits: Limits
    progress: Progress | None = None


def write_platform_files(platform: Platform, folder: Path, staged: StagedModel, *, release: str) -> list[str]:
    """Writes what a platform wants beside the model.

    Args:
        platform: The platform.
        folder: Its own, in the pack.
        staged: The model.
        release: Version or processor that is to run it.

    Returns:
        What the user has to know.

    Raises:
        DeployError: The model lacks what the options name, or its warm-up request fails.
        SettingsError: The options make no descriptor.
        CheckError: TensorFlow's C++ library is not there.
    """
    folder.mkdir()
    return list(_WRITERS[platform](folder, staged, release))


def _write_eas(folder: Path, staged: StagedModel, release: str) -> Iterator[str]:
    options = staged.options.eas
    archive = f"model.{options.archive}"
    write = write_zip if options.archive == "zip" else write_tar_gz
    # What was checked, and nothing that was added for another server.
    write(
        folder / archive,
        staged.model_dir,
        staged.approval.hashes,
        root=staged.name,
        progress=staged.progress,
    )
    warm_up = False
    signature = choose_signature(read_served_signatures(staged.model_dir), options.signature)
    if staged.baseline is None or signature.name not in staged.baseline.samples:
        yield f"no {WARM_UP_FILE}: there is no baseline of signature {signature.name}"
    else:
        made = write_eas_warm_up(
            folder / WARM_UP_FILE,
            staged.model_dir,
            staged.baseline,
            signature_name=signature.name,
            output_filter=options.output_filter,
            limits=staged.limits,
        )
        if made.faults:
            raise DeployError(
                "The model does not answer the warm-up request for PAI-EAS.",
                received="; ".join(made.faults),
                where=f"signature {signature.name}",
                advice="check the model with this baseline, or pack it without one",
            )
        warm_up = True
        yield f"{WARM_UP_FILE} holds the first row of the baseline: look whether it may leave your hands"
    if options.batching and not staged.plan.sizes:
        yield f"PAI-EAS is not told to join requests: {staged.plan.reason}"
    service = describe_service(
        staged.name,
        staged.version,
        processor=release,
        archive=archive,
        warm_up=warm_up,
        plan=staged.plan,
        options=options,
    )
    _write_json(folder / CREATE_FILE, service)
    modification = describe_modification(
        staged.name, staged.version, processor=release, archive=archive, warm_up=warm_up, options=options
    )
    _write_json(folder / MODIFY_FILE, modification)


def _write_tf_serving(folder: Path, staged: StagedModel, release: str) -> Iterator[str]:
    options = staged.options.tf_serving
    text = write_models_config(staged.name, staged.version, base_dir=options.base_dir, labels=options.labels)
    (folder / MODELS_CONFIG_FILE).write_text(text, encoding="utf-8")
    if staged.plan.sizes:
        text = write_batching_parameters(staged.plan, threads=options.threads)
        (folder / BATCHING_FILE).write_text(text, encoding="utf-8")
    else:
        yield f"no {BATCHING_FILE}: {staged.plan.reason}"


def _write_kserve(folder: Path, staged: StagedModel, release: str) -> Iterator[str]:
    service = describe_inference_service(staged.name, release=release, options=staged.options.kserve)
    (folder / "inference_service.yaml").write_text(write_yaml(service), encoding="utf-8")
    yield from ()


def _write_vertex(folder: Path, staged: StagedModel, release: str) -> Iterator[str]:
    upload = describe_vertex_upload(
        staged.name,
        staged.version,
        release=release,
        digest=staged.approval.digest,
        options=staged.options.vertex,
    )
    _write_json(folder / "upload.json", upload)
    yield from ()


def _write_sagemaker(folder: Path, staged: StagedModel, release: str) -> Iterator[str]:
    names = sorted(
        path.relative_to(staged.model_dir).as_posix()
        for path in staged.model_dir.rglob("*")
        if path.is_file()
    )
    root = f"{staged.name}/{staged.version}"
    path = folder / _SAGEMAKER_ARCHIVE
    write_tar_gz(path, staged.model_dir, names, root=root, progress=staged.progress)
    model = describe_sagemaker_model(
        staged.name,
        staged.version,
        archive=_SAGEMAKER_ARCHIVE,
        release=release,
        options=staged.options.sagemaker,
    )
    _write_json(folder / "model.json", model)
    yield from ()


_WRITERS: Mapping[Platform, Callable[[Path, StagedModel, str], Iterator[str]]] = MappingProxyType(
    {
        Platform.EAS: _write_eas,
        Platform.TF_SERVING: _write_tf_serving,
        Platform.KSERVE: _write_kserve,
        Platform.VERTEX: _write_vertex,
        Platform.SAGEMAKER: _write_sagemaker,
    }
)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
