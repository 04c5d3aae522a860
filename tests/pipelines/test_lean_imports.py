"""A pipeline of settings runs in a process that has imported neither TensorFlow nor Beam."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "tests" / "data" / "zoo" / "tf1.15-cnn_bn-a" / "artifact"

RUN = """
import json, sys
from pipelines.__main__ import main
from servable.stand_ins import is_whole
code = main({words!r})
heavy = ("tensorflow", "apache_beam", "tensorflow_model_analysis", "tensorflow_data_validation", "keras")
print(json.dumps([code, [name for name in heavy if is_whole(name)]]))
"""


@pytest.mark.tfx
def test_neither_tensorflow_nor_beam_is_imported_to_order_nodes(tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "pipeline: {name: lean, root: root, metadata: m.sqlite}\n"
        f"models: [{{name: a, source: {SOURCE}, push: pushed}}]\n"
    )
    for state in ("pushed", "unchanged"):
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(words=["local", str(settings)])],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"a: {state}" in done.stdout, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
    (version,) = (tmp_path / "pushed" / "a").iterdir()
    assert (version / "saved_model.pb").is_file()
