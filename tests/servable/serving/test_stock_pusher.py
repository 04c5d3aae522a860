"""A version that TFX's own Pusher pushes while clients ask."""

from __future__ import annotations

import shutil
import threading
import time

import numpy as np
import pytest

pytestmark = pytest.mark.tfx


@pytest.fixture
def push(tmp_path):
    """Pushes a blessed SavedModel into `tmp_path/m` with the stock executor, and gives the version."""
    from tfx.components.pusher.executor import Executor
    from tfx.proto import pusher_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    def run(saved_model_dir):
        folder = tmp_path / f"of-{saved_model_dir.name}"
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        pushed = standard_artifacts.PushedModel()
        model.uri, blessing.uri, pushed.uri = (str(folder / name) for name in ("model", "blessing", "pushed"))
        shutil.copytree(saved_model_dir, folder / "model/Format-Serving")
        blessing.set_int_custom_property("blessed", 1)
        destination = pusher_pb2.PushDestination()
        destination.filesystem.base_directory = str(tmp_path / "m")
        Executor().Do(
            {"model": [model], "model_blessing": [blessing]},
            {"pushed_model": [pushed]},
            {"push_destination": proto_utils.proto_to_json(destination), "custom_config": "null"},
        )
        return int(pushed.get_string_custom_property("pushed_version"))

    return run


def test_no_request_is_lost(serve, simple, copy_reversed, golden, push, tmp_path):
    x, y = golden
    first = push(simple.source)
    new = copy_reversed(simple.source, tmp_path / "new")
    while int(time.time()) <= first:  # a version is the second in which it was pushed
        time.sleep(0.1)
    ended = threading.Event()
    answers = {client: [] for client in range(4)}

    def keep_asking(served, own):
        while not ended.is_set():
            status, answer = served.ask_json("/v1/models/m:predict", {"instances": x.tolist()})
            own.append(np.array(answer["predictions"]) if status == 200 else answer)

    with serve(tmp_path / "m", processes=2) as served:
        clients = [threading.Thread(target=keep_asking, args=(served, own)) for own in answers.values()]
        for client in clients:
            client.start()
        second = push(new)
        served.wait_for(f"version {second} answers")
        served.wait_for(f"version {first} has ended")
        ended.set()
        for client in clients:
            client.join()
    for own in answers.values():
        is_old = [bool(np.allclose(answer, y, rtol=1e-4, atol=1e-4)) for answer in own]
        is_new = [bool(np.allclose(answer, y[:, ::-1], rtol=1e-4, atol=1e-4)) for answer in own]
        assert all(old != new for old, new in zip(is_old, is_new, strict=True))
        assert is_old == sorted(is_old, reverse=True)
        assert is_new[-1]
