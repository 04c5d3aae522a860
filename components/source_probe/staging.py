"""Where a task of Kubeflow finds an artifact of an object store: copied, or mounted, as a local folder.

What passes through: a URI comes in, a path of the task's own file system goes out. Kubeflow's launcher copies
input artifacts to these places before a task runs and outputs from there afterwards; Vertex AI mounts every
bucket there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# kubeflow/pipelines, backend/src/v2/component/launcher_v2.go, `LocalPathForURI`.
_FOLDERS: Final[Mapping[str, str]] = MappingProxyType(
    {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
)
# For a task that is replayed: the folder that stands for the root of its container.
STAGING_ROOT: Final = "SERVABLE_STAGING_ROOT"


def find_staged_path(uri: str) -> str:
    """Finds the local place of an artifact; a path is its own place, as is an address of another kind."""
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return os.environ.get(STAGING_ROOT, "") + folder + uri.removeprefix(scheme)
    return uri
