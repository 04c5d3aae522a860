"""The runner file of Kubeflow: its values, and its faults all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.on_kubeflow.runner_file import Backend, CacheKey, KubeflowSettings, load_kubeflow_settings
from pipelines.yaml_file import read_yaml
from servable.errors import SettingsError

CONFIG = Path(__file__).parents[2] / "configs" / "kubeflow.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "runner.yaml"
    path.write_text(text)
    return path


def test_the_commented_file_has_every_key_at_its_default():
    data = read_yaml(CONFIG).data
    assert set(data) == set(KubeflowSettings.model_fields)
    defaults = KubeflowSettings(image="i").model_dump(mode="json")
    # What a cluster has is nobody's default.
    shown = {key for key, value in data.items() if value != defaults[key]}
    assert shown == {"image", "volumes"}
    assert load_kubeflow_settings(CONFIG).volumes


def test_vertex_is_told_by_a_bucket(tmp_path):
    path = write(tmp_path, "image: i\nbackend: vertex\npipeline_root: gs://b/r\ncache_key: pre_cache_check\n")
    runner = load_kubeflow_settings(path)
    assert (runner.backend, runner.cache_key) == (Backend.VERTEX, CacheKey.PRE_CACHE_CHECK)


def test_every_fault_is_told_with_its_line(tmp_path):
    path = write(
        tmp_path,
        "image: i\npipeline_name: Two_Models\npipeline_root: /mnt/root\nresources: {cpu: 0, memory_gb: 1}\n"
        "volumes:\n  - {claim: c, mount: data}\nretrys: 1\nimage: j\n",
    )
    with pytest.raises(SettingsError) as caught:
        load_kubeflow_settings(path)
    text = str(caught.value)
    for place in (
        "line 2: pipeline_name",
        "line 3: pipeline_root",
        "line 4: resources.cpu",
        "line 6: volumes.0.mount",
        "line 7: retrys",
        "line 8: image: is given twice",
    ):
        assert place in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image: i\nschema_version: '2.0'\n", "2.0 is for backend vertex"),
        ("image: i\ncache_key: pre_cache_check\n", "pre_cache_check is for backend vertex"),
        ("image: i\nbackend: vertex\n", "needs a pipeline_root"),
        (
            "image: i\nbackend: vertex\npipeline_root: gs://b\nvolumes: [{claim: c, mount: /m}]\n",
            "volumes are for backend kfp",
        ),
        ("backend: kfp\n", "image: Field required"),
    ],
)
def test_what_does_not_go_together_is_told(tmp_path, text, message):
    with pytest.raises(SettingsError, match=message):
        load_kubeflow_settings(write(tmp_path, text))
