"""The settings file: what it may say, and how its faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.settings import SourceFamily
from pipelines.settings_file import load_settings
from servable.errors import SettingsError
from servable.signature import SignatureRequest

REPOSITORY = Path(__file__).resolve().parents[2]

HEAD = "pipeline: {name: p, root: root, metadata: m.sqlite}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def list_faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(folder, text))
    return [line.strip() for line in caught.value.problem.splitlines()[1:]]


@pytest.mark.parametrize("name", ["local.yaml", "digits.yaml", "retraining.yaml"])
def test_files_of_the_repository_are_right(name):
    assert load_settings(REPOSITORY / "configs" / name).models


def test_reference_file_shows_every_key():
    text = (REPOSITORY / "configs" / "local.yaml").read_text()
    settings = load_settings(REPOSITORY / "configs" / "local.yaml")
    for key in {*type(settings.pipeline).model_fields, *type(settings.models[0]).model_fields}:
        assert f"{key}:" in text, key


def test_values_arrive(tmp_path):
    settings = load_settings(
        write(
            tmp_path,
            HEAD
            + """
models:
  - name: ranker
    source: training
    kind: checkpoint
    signatures: {rank: {inputs: {x: "a:0"}, outputs: {y: "b:0"}}}
    freeze: {is_training: false, keep_prob: 1.0, rounds: 1, mode: serve}
    step: 3000
    assets: {words.txt: /data/words.txt}
    default_signature: null
    target: tensorflow_cpu_2.7
    policy: {severities: {batch: warning}}
    push: pushed
""",
        )
    )
    (model,) = settings.models
    assert settings.pipeline.cache is True
    assert model.kind is SourceFamily.CHECKPOINT
    assert model.list_requests() == (SignatureRequest("rank", {"x": "a:0"}, {"y": "b:0"}),)
    assert [type(value) for value in model.freeze.values()] == [bool, float, int, str]
    assert (model.step, model.default_signature, model.target) == (3000, None, "tensorflow_cpu_2.7")
    assert model.push_dir == tmp_path / "pushed" / "ranker"


def test_relative_paths_are_taken_from_the_file(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    path = write(tmp_path / "configs", HEAD + "models: [{name: a, source: ../training, push: /srv}]\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("configs/settings.yaml"))
    assert settings.pipeline.root == path.parent / "root"
    assert settings.models[0].source == tmp_path / "training"
    assert settings.models[0].push == Path("/srv")


def test_settings_are_frozen(tmp_path):
    settings = load_settings(write(tmp_path, HEAD + "models: [{name: a, source: s, push: p}]\n"))
    with pytest.raises(ValidationError):
        settings.pipeline.name = "other"


def test_one_model_can_be_selected(tmp_path):
    settings = load_settings(
        write(tmp_path, HEAD + "models: [{name: a, source: s, push: p}, {name: b, source: s, push: p}]\n")
    )
    assert [model.name for model in settings.select("b").models] == ["b"]
    with pytest.raises(SettingsError, match="a, b"):
        settings.select("c")


def test_every_fault_is_told_at_once_with_its_line(tmp_path):
    faults = list_faults(
        tmp_path,
        """pipeline:
  name: p
  root: root
  cach: true
models:
  - name: a
    source: s
    signatures:
      rank: {method: predictt}
    policy: {severities: {wheights: warning}}
    push: p
  - name: b/c
    source: s
    step: newest
    push: p
  - name: a
    source: s
    source: t
    push: q
""",
    )
    expected = [
        "line 18: models[2].source: is given twice, the second time here",
        "line 1: pipeline.metadata: is missing",
        "line 4: pipeline.cach: is not a key of the settings",
        "line 12: models[1].name: may hold letters, digits, _ and - only; received 'b/c'",
        "line 14: models[1].step: input should be a valid integer; received 'newest'",
        "line 16: models[2].name: is also the name of models[0]: 'a'",
    ]
    for fault in expected:
        assert fault in faults
    assert any(line.startswith("line 9: models[0].signatures.rank: ") for line in faults)
    assert any(line.startswith("line 10: models[0].policy: ") and "wheights" in line for line in faults)
    assert len(faults) == 8


@pytest.mark.parametrize(
    ("model", "fragment"),
    [
        ("{name: a, source: s, push: p, freeze: {x: [1]}}", "freeze.x"),
        ("{name: a, source: s, push: p, step: true}", "step"),
        ("{name: a, source: s, push: p, step: -1}", "step"),
        ("{name: a, source: s, push: p, kind: kears}", "kind"),
        ("{name: a, source: s, push: p, signatures: {r: {inputs: {x: 1}}}}", "signatures.r.inputs.x"),
        ("{name: a, source: s, push: p, signatures: {r: }}", "signatures.r"),
        ("{name: a, source: s, push: p, signatures: {r: {}}, default_signature: q}", "default_signature"),
        ("{name: a, source: s, push: p, target: tensorflow-2.8}", "target"),
        ("{name: a, source: s, push: p, target: 2.7}", "target"),
        ("{name: a, source: s, push: p, policy: {target: tensorflow-2.8}}", "policy"),
        ("{name: a, source: s, push: p, target: kserve, policy: {target: '2.7'}}", "policy.target"),
        ("{name: a, source: s, push: saved_model.pb.d}", "push"),
        ("{name: 1, source: s, push: p}", "name"),
    ],
)
def test_single_faults(tmp_path, model, fragment):
    (fault,) = list_faults(tmp_path, HEAD + f"models: [{model}]\n")
    assert f"models[0].{fragment}:" in fault


def test_an_unknown_target_is_told_with_its_nearest_names(tmp_path):
    (fault,) = list_faults(
        tmp_path, HEAD + "models:\n- name: a\n  source: s\n  push: p\n  target: tensorflow-2.8\n"
    )
    assert fault.startswith("line 6: models[0].target: There is no such target.")
    assert "tensorflow-2.7" in fault


def test_model_must_not_be_pushed_among_the_versions_of_another(tmp_path):
    faults = list_faults(
        tmp_path, HEAD + "models: [{name: '5', source: s, push: p/a}, {name: a, source: s, push: p}]\n"
    )
    assert faults == [f"line 2: models[0].push: leads into the directory of models[1]: {tmp_path}/p/a"]


def test_root_that_would_silence_pusher_is_refused(tmp_path):
    text = HEAD.replace("root: root", "root: saved_model.pb") + "models: [{name: a, source: s, push: p}]\n"
    (fault,) = list_faults(tmp_path, text)
    assert "pipeline.root" in fault


def test_double_key_in_depth_is_told(tmp_path):
    text = HEAD + "models:\n- name: a\n  source: s\n  push: p\n  freeze:\n    x: 1\n    x: 2\n"
    assert list_faults(tmp_path, text) == ["line 8: models[0].freeze.x: is given twice, the second time here"]


@pytest.mark.parametrize("text", ["", "- a\n", "text\n", "models: []\n"])
def test_file_of_another_shape_is_told(tmp_path, text):
    assert list_faults(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [(b"a: [", "not valid YAML"), (b"\xff\xfe\x00", "cannot be read"), (b"a: 1\n---\nb: 2\n", "not valid")],
)
def test_what_is_no_yaml_is_told(tmp_path, content, fragment):
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=fragment):
        load_settings(path)


def test_python_objects_are_not_made(tmp_path):
    path = write(tmp_path, "pipeline: !!python/object/apply:os.system ['touch made']\n")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_settings(path)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")


def test_an_address_of_another_machine_stays_one(tmp_path):
    for source, wanted in (
        ("gs://bucket/training", "gs://bucket/training"),
        ("hdfs:///training", "hdfs:///training"),
        (f"file://{tmp_path}/training", tmp_path / "training"),
        ("training", tmp_path / "training"),
    ):
        text = HEAD + f"models: [{{name: m, source: '{source}', push: pushed}}]\n"
        assert load_settings(write(tmp_path, text)).models[0].source == wanted


def test_an_op_that_is_let_in_is_let_in_by_the_checks_too(tmp_path):
    policy = "{allowed_ops: [PyFunc], run_time_s: 9}"
    model = f"{{name: m, source: s, push: p, allow_ops: [ReadFile], policy: {policy}}}"
    settings = load_settings(write(tmp_path, HEAD + f"models: [{model}]"))
    assert settings.models[0].check_policy == {"allowed_ops": ["PyFunc", "ReadFile"], "run_time_s": 9}
    plain = load_settings(write(tmp_path, HEAD + "models: [{name: m, source: s, push: p}]"))
    assert plain.models[0].check_policy == {}


def test_a_refused_model_is_passed_over_unless_the_file_says_otherwise(tmp_path):
    text = """
pipeline: {name: p, root: r, metadata: m.sqlite}
models:
  - {name: a, source: s, push: pushed}
  - {name: b, source: s, push: pushed, raise_on_rejection: true}
"""
    (tmp_path / "settings.yaml").write_text(text)
    settings = load_settings(tmp_path / "settings.yaml")
    assert [model.raise_on_rejection for model in settings.models] == [False, True]
    (tmp_path / "settings.yaml").write_text(text.replace("true", "loudly"))
    with pytest.raises(SettingsError, match=r"models\[1\]\.raise_on_rejection"):
        load_settings(tmp_path / "settings.yaml")


def test_metadata_is_a_file_or_the_address_of_a_database(tmp_path):
    kept = load_settings(write(tmp_path, HEAD + "models: [{name: a, source: x, push: out}]\n"))
    assert kept.pipeline.metadata == tmp_path / "m.sqlite"
    address = "postgresql://trainer:${SECRET}@db.example/mlmd"
    text = HEAD.replace("m.sqlite", f'"{address}"') + "models: [{name: a, source: x, push: out}]\n"
    assert load_settings(write(tmp_path, text)).pipeline.metadata == address


def test_a_password_in_the_file_is_refused_and_not_told(tmp_path):
    text = HEAD.replace("m.sqlite", '"mysql://trainer:geheim@db.example/mlmd"')
    (fault,) = list_faults(tmp_path, text + "models: [{name: a, source: x, push: out}]\n")
    assert fault.startswith("line 1: pipeline.metadata: A password does not belong into the address.")
    assert "geheim" not in fault


@pytest.mark.parametrize(
    ("schedule", "is_right"),
    [("15 */2 * * mon-fri", True), ("0 3 1,15 * *", True), ("@daily", False), ("0 3 * *", False)],
)
def test_a_schedule_has_the_five_fields_of_cron(tmp_path, schedule, is_right):
    text = HEAD.replace("}", f', schedule: "{schedule}"}}') + "models: [{name: a, source: x, push: out}]\n"
    if is_right:
        assert load_settings(write(tmp_path, text)).pipeline.schedule == schedule
    else:
        assert "five fields of cron" in list_faults(tmp_path, text)[0]


def test_warm_up_requests_need_a_baseline(tmp_path):
    text = HEAD + "models: [{name: a, source: x, push: out, make_warmup: true, make_baseline: false}]\n"
    assert "needs make_baseline" in list_faults(tmp_path, text)[0]
