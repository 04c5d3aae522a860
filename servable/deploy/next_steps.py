"""What to type next: the commands that upload a pack and start a service from it.

What passes through: a pack's names and the user's options come in, command lines for each platform's own
tools go out. They are for a person to read first: nothing here runs one.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from servable.deploy.eas import CREATE_FILE, MODIFY_FILE, name_service
from servable.deploy.options import PackOptions
from servable.deploy.platforms import Platform
from servable.deploy.tf_serving import BATCHING_FILE, MODELS_CONFIG_FILE


@dataclass(frozen=True, slots=True)
class PackPlace:
    """Where a pack lies and what it is called.

    Attributes:
        pack_dir: Its folder.
        name: Of the model.
        version: Of its folder.
        options: The user's.
    """

    pack_dir: Path
    name: str
    version: int
    options: PackOptions


def list_next_steps(platform: Platform, place: PackPlace, *, release: str) -> tuple[str, ...]:
    """Lists the commands for a platform, in order.

    Args:
        platform: The platform.
        place: The finished pack.
        release: Version or processor that is to run it.
    """
    return tuple(_STEPS[platform](place, release))


def _write(*words: str | Path) -> str:
    return shlex.join(str(word) for word in words)


def _list_eas(place: PackPlace, release: str) -> Iterator[str]:
    folder = place.pack_dir / Platform.EAS
    address = f"{place.options.eas.uri.rstrip('/')}/{place.name}/{place.version}/"
    yield _write("ossutil", "cp", "-r", folder, address)
    yield _write("eascmd", "create", folder / CREATE_FILE)
    yield _write("eascmd", "modify", name_service(place.name), "-s", folder / MODIFY_FILE) + "  # next time"


def _list_tf_serving(place: PackPlace, release: str) -> Iterator[str]:
    options = place.options.tf_serving
    folder = place.pack_dir.absolute()
    words: list[str | Path] = ["docker", "run", "--rm", "-p", "8500:8500", "-p", "8501:8501"]
    words += ["-v", f"{folder / 'models'}:{options.base_dir}:ro"]
    words += ["-v", f"{folder / Platform.TF_SERVING}:/config:ro"]
    words += [f"tensorflow/serving:{release}", f"--model_config_file=/config/{MODELS_CONFIG_FILE}"]
    if options.labels:
        words += ["--allow_version_labels_for_unavailable_models"]
    if (folder / Platform.TF_SERVING / BATCHING_FILE).exists():
        words += ["--enable_batching", f"--batching_parameters_file=/config/{BATCHING_FILE}"]
    yield _write(*words)


def _list_kserve(place: PackPlace, release: str) -> Iterator[str]:
    yield _copy_model(place, place.options.kserve.uri)
    yield _write("kubectl", "apply", "-f", place.pack_dir / Platform.KSERVE / "inference_service.yaml")


def _list_vertex(place: PackPlace, release: str) -> Iterator[str]:
    yield _copy_model(place, place.options.vertex.uri)
    path = place.pack_dir / Platform.VERTEX / "upload.json"
    code = f"aiplatform.Model.upload(**json.load(open({json.dumps(str(path))})))"
    yield _write("python", "-c", f"import json; from google.cloud import aiplatform; {code}")


def _list_sagemaker(place: PackPlace, release: str) -> Iterator[str]:
    folder = place.pack_dir / Platform.SAGEMAKER
    address = f"{place.options.sagemaker.uri.rstrip('/')}/{place.name}/{place.version}/model.tar.gz"
    yield _write("aws", "s3", "cp", folder / "model.tar.gz", address)
    code = f"TensorFlowModel(**json.load(open({json.dumps(str(folder / 'model.json'))})))"
    deploy = 'deploy(initial_instance_count=1, instance_type="ml.m5.large")'
    yield _write(
        "python", "-c", f"import json; from sagemaker.tensorflow import TensorFlowModel; {code}.{deploy}"
    )


def _copy_model(place: PackPlace, uri: str) -> str:
    """Copies the model's folder with the tool that goes with the address."""
    source, address = place.pack_dir / "models" / place.name, f"{uri.rstrip('/')}/{place.name}"
    tools = {
        "gs": ("gcloud", "storage", "cp", "-r", source, f"{uri.rstrip('/')}/"),
        "s3": ("aws", "s3", "cp", "--recursive", source, address),
        "oss": ("ossutil", "cp", "-r", source, f"{address}/"),
        "hdfs": ("hdfs", "dfs", "-put", source, address),
    }
    words = tools.get(uri.split("://")[0])
    return f"# copy {source} to {address}" if words is None else _write(*words)


_STEPS: Mapping[Platform, Callable[[PackPlace, str], Iterator[str]]] = MappingProxyType(
    {
        Platform.EAS: _list_eas,
        Platform.TF_SERVING: _list_tf_serving,
        Platform.KSERVE: _list_kserve,
        Platform.VERTEX: _list_vertex,
        Platform.SAGEMAKER: _list_sagemaker,
    }
)
