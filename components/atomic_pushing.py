"""TFX's Pusher with an executor by which a version appears whole: the one step of it that a server can see.

What passes through: TFX's own executor decides, copies and records as always, only into a folder beside the
versions that no server looks at; what it has copied is moved to its number in one step. Copied in place, a
process killed at the wrong moment leaves half of a `saved_model.pb` that looks finished.

    pusher = Pusher(...)
    pusher.executor_spec = executor_spec.ExecutorClassSpec(AtomicPushExecutor)
"""

from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import Any, Final

from tfx.components.pusher import executor as pusher_executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from servable.formats.files import sync_path
from servable.formats.publishing import move_dir
from servable.formats.scratch import open_scratch_dir

_SCRATCH_PREFIX: Final = ".push-"
_SHARED: Final = 0o777  # less what the user masks
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_LAST_FILE: Final = "saved_model.pb"


class AtomicPushExecutor(pusher_executor.Executor):
    """Pushes to `BASE/VERSION` by way of `BASE/.push-*/VERSION`."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Pushes a blessed model, as `tfx.components.Pusher` says.

        An object store shows a file only when it is whole; there TFX's own order of copying is enough.

        Raises:
            OSError: The destination cannot be written; nothing is left there.
        """
        destination = pusher_pb2.PushDestination()
        key = standard_component_specs.PUSH_DESTINATION_KEY
        proto_utils.json_to_proto(exec_properties[key], destination)
        base = destination.filesystem.base_directory
        if not base or "://" in base or not self.CheckBlessing(input_dict):
            super().Do(input_dict, output_dict, exec_properties)
            return
        base_dir = Path(base)
        base_dir.mkdir(parents=True, exist_ok=True)
        # What an earlier push has left that was killed is removed before.
        with open_scratch_dir(base_dir, prefix=_SCRATCH_PREFIX, mode=_SHARED) as scratch_dir:
            destination.filesystem.base_directory = str(scratch_dir)
            super().Do(
                input_dict, output_dict, {**exec_properties, key: proto_utils.proto_to_json(destination)}
            )
            (copied,) = scratch_dir.iterdir()
            version_dir = _publish_version(copied, base_dir)
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        self._MarkPushed(pushed, pushed_destination=str(version_dir), pushed_version=version_dir.name)


def _publish_version(copied: Path, base_dir: Path) -> Path:
    """Moves a copy to its number, or to the next that is free: versions are numbered by whole seconds."""
    for path in copied.rglob("*"):
        if path.is_file():
            sync_path(path)
    for number in itertools.count(int(copied.name)):
        version_dir = base_dir / str(number)
        if version_dir.exists():
            continue
        try:
            move_dir(copied, version_dir, last_file=_LAST_FILE)
        except OSError as error:
            if error.errno not in _TAKEN:  # by another push, just now
                raise
        else:
            return version_dir
    raise AssertionError("there is always a free number")
