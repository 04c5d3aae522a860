"""Vertex AI and SageMaker: what their clients are called with, as JSON.

What passes through: names, addresses and a version come in, plain values go out: the arguments of
`aiplatform.Model.upload`, and those of `sagemaker.tensorflow.TensorFlowModel`.
"""

from __future__ import annotations

from typing import Any, Final

from servable.deploy.options import SageMakerOptions, VertexOptions
from servable.deploy.platforms import read_series

_FIRST_V2: Final = (2, 0)
# In SageMaker's container: which model answers where a request names none.
_DEFAULT_MODEL: Final = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"


def describe_vertex_upload(
    name: str, version: int, *, release: str, digest: str, options: VertexOptions
) -> dict[str, Any]:
    """Gives the arguments of ``google.cloud.aiplatform.Model.upload``.

    Args:
        name: Of the model.
        version: Its folder's; the address is that of the folder that has `saved_model.pb` itself.
        release: TensorFlow's of the prebuilt container, such as "2.15".
        digest: Of the checked files, for the description.
        options: The user's.
    """
    family = "tf2" if read_series(release) >= _FIRST_V2 else "tf"
    device = "gpu" if options.gpu else "cpu"
    image = f"{family}-{device}.{release.replace('.', '-')}:latest"
    return {
        "display_name": name,
        "artifact_uri": f"{options.uri.rstrip('/')}/{name}/{version}",
        "serving_container_image_uri": f"{options.registry}-docker.pkg.dev/vertex-ai/prediction/{image}",
        "description": f"version {version}, sha256 {digest} over its checked files",
    }


def describe_sagemaker_model(
    name: str, version: int, *, archive: str, release: str, options: SageMakerOptions
) -> dict[str, Any]:
    """Gives the arguments of ``sagemaker.tensorflow.TensorFlowModel``.

    Args:
        name: Of the model, the folder at the root of the archive.
        version: Of its folder.
        archive: Name of its file.
        release: TensorFlow's of the container, such as "2.19.0".
        options: The user's.
    """
    return {
        "model_data": f"{options.uri.rstrip('/')}/{name}/{version}/{archive}",
        "role": options.role,
        "framework_version": release,
        "env": {_DEFAULT_MODEL: name},
    }
