"""The components under TFX: constructors, executors without a driver, upstream models, TFX's own resolver."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from servable.baseline import load_baseline
from servable.errors import BrokenSourceError, SettingsError, SignatureError, SourceError
from servable.formats.digest import digest_tree

pytestmark = pytest.mark.tfx

CHECKPOINT, KERAS = "tf1.15-lr-a", "keras3.15-multi_io-a"


@pytest.fixture(scope="module")
def tfx() -> SimpleNamespace:
    """What the tests need of TFX, imported once."""
    from tfx.dsl.components.common import importer, resolver
    from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.types import Channel, standard_artifacts

    return SimpleNamespace(
        Channel=Channel,
        Importer=importer.Importer,
        LatestBlessedModelStrategy=latest_blessed_model_strategy.LatestBlessedModelStrategy,
        LocalDagRunner=LocalDagRunner,
        Resolver=resolver.Resolver,
        metadata=metadata,
        pipeline=pipeline,
        standard_artifacts=standard_artifacts,
    )


@pytest.fixture
def outputs(tfx, tmp_path) -> dict[str, list]:
    """Output artifacts as a runner hands them in, in directories that do not exist yet."""
    model, baseline = tfx.standard_artifacts.Model(), tfx.standard_artifacts.InferenceResult()
    model.uri, baseline.uri = str(tmp_path / "model"), str(tmp_path / "baseline")
    return {"model": [model], "baseline": [baseline]}


@pytest.fixture
def run_pipeline(tfx, tmp_path):
    def run(*nodes) -> None:
        tfx.LocalDagRunner().run(
            tfx.pipeline.Pipeline(
                pipeline_name="p",
                pipeline_root=str(tmp_path / "root"),
                components=list(nodes),
                enable_cache=True,
                metadata_connection_config=tfx.metadata.sqlite_metadata_connection_config(
                    str(tmp_path / "metadata.sqlite")
                ),
            )
        )

    return run


def read_runs(tmp_path: Path) -> list[list[tuple[str, str]]]:
    """Node and state of every execution, run by run."""
    from pipelines.metadata.records import read_executions

    runs: dict[str, list[tuple[str, str]]] = {}
    for item in read_executions(tmp_path / "metadata.sqlite", "p"):
        runs.setdefault(item.run_id, []).append((item.node_id, item.state))
    return list(runs.values())


def read_latest(tmp_path: Path, node_id: str):
    from pipelines.metadata.records import read_executions

    return [item for item in read_executions(tmp_path / "metadata.sqlite", "p") if item.node_id == node_id][
        -1
    ]


@pytest.mark.parametrize("given", ["none", "both"])
def test_exactly_one_source_is_taken(tfx, given):
    from components.keras_converter import KerasConverter

    channel = tfx.Channel(type=tfx.standard_artifacts.Model)
    arguments = {"none": (None, None), "both": ("m.keras", channel)}[given]
    with pytest.raises(SettingsError, match="exactly one source"):
        KerasConverter(*arguments)


def test_wrong_wishes_are_told_when_the_pipeline_is_built(tfx):
    from components.checkpoint_importer import CheckpointImporter
    from components.saved_model_validator import SavedModelValidator

    with pytest.raises(SignatureError, match="methd"):
        CheckpointImporter(source="m", signatures={"a": {"methd": "predict"}})
    with pytest.raises(SettingsError, match="leaves the artifact"):
        CheckpointImporter(
            source_model=tfx.Channel(type=tfx.standard_artifacts.Model), source_subpath="../other"
        )
    with pytest.raises(SettingsError, match="sub-path belongs"):
        CheckpointImporter(source="m", source_subpath="n")
    with pytest.raises(SettingsError, match="wheights"):
        SavedModelValidator(
            model=tfx.Channel(type=tfx.standard_artifacts.Model), policy={"severities": {"wheights": "info"}}
        )
    with pytest.raises(SettingsError, match=r"no such target(.|\n)*tensorflow-2\.7"):
        CheckpointImporter(source="m", target="tensorflow-2.8")
    with pytest.raises(SettingsError, match="no such target"):
        SavedModelValidator(model=tfx.Channel(type=tfx.standard_artifacts.Model), target="tensorflow-2.8")


def test_execution_properties_are_plain_texts(tfx, tmp_path, monkeypatch):
    from components.checkpoint_importer import CheckpointImporter

    monkeypatch.chdir(tmp_path)
    importer = CheckpointImporter(
        source="training", freeze={"is_training": False}, inputs="i.npz", target="kserve"
    )
    properties = {key: value for key, value in importer.exec_properties.items() if value is not None}
    assert all(isinstance(value, str) for value in properties.values())
    assert properties["source"] == str(tmp_path / "training")
    assert json.loads(properties["options"])["inputs"] == str(tmp_path / "i.npz")
    assert json.loads(properties["options"])["target"] == "kserve"


@pytest.mark.parametrize(
    ("component", "case", "name", "framework", "signature"),
    [
        ("checkpoint_importer", CHECKPOINT, "tf1-saver", "tensorflow", "predict"),
        ("keras_converter", KERAS, "keras-archive", "keras", "serving_default"),
    ],
)
def test_executor_works_where_no_driver_ran(outputs, copy_case, component, case, name, framework, signature):
    executor = _get_executor(component)
    options = json.dumps({"target": "kserve"})
    properties = {"source": str(copy_case(case)), "signatures": _signatures(case), "options": options}
    assert executor().Do({}, outputs, properties) is None
    model, baseline = outputs["model"][0], outputs["baseline"][0]
    serving_dir = Path(model.uri) / "Format-Serving"
    assert (serving_dir / "saved_model.pb").is_file()
    assert model.get_string_custom_property("saved_model_digest") == digest_tree(serving_dir)
    assert model.get_string_custom_property("source_format") == name
    assert model.get_string_custom_property("framework") == framework
    assert model.get_string_custom_property("toolchain")
    assert model.get_string_custom_property("target") == "kserve"
    assert model.get_string_custom_property("target_version") == "2.6.5"
    digest = model.get_string_custom_property("source_digest")
    assert len(digest) == 64
    assert baseline.get_string_custom_property("source_digest") == digest
    samples = load_baseline(Path(baseline.uri) / "baseline.npz").samples
    assert set(samples) == {signature}


def test_executor_fetches_what_lies_elsewhere(outputs, copy_case, monkeypatch):
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    fsspec.filesystem("memory").put(str(copy_case(CHECKPOINT)), "memory://bucket/train", recursive=True)
    properties = {"source": "memory://bucket/train", "signatures": _signatures(CHECKPOINT), "options": "{}"}
    _get_executor("checkpoint_importer")().Do({}, outputs, properties)
    model = outputs["model"][0]
    assert model.get_string_custom_property("source_path") == "memory://bucket/train/model.ckpt"
    assert (Path(model.uri) / "Format-Serving" / "saved_model.pb").is_file()


def test_retry_after_a_kill_starts_afresh(outputs, copy_case):
    leftover = Path(outputs["model"][0].uri) / "Format-Serving" / "variables" / "leftover"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    properties = {"source": str(copy_case(CHECKPOINT)), "signatures": _signatures(CHECKPOINT)}
    _get_executor("checkpoint_importer")().Do({}, outputs, properties)
    assert not leftover.exists()
    assert (leftover.parents[1] / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("component", "case", "right"),
    [("checkpoint_importer", KERAS, "KerasConverter"), ("keras_converter", CHECKPOINT, "CheckpointImporter")],
)
def test_wrong_component_names_the_right_one(outputs, copy_case, component, case, right):
    with pytest.raises(SettingsError, match=right):
        _get_executor(component)().Do({}, outputs, {"source": str(copy_case(case))})


def test_broken_source_leaves_nothing(outputs, copy_case):
    with pytest.raises(SourceError):
        _get_executor("checkpoint_importer")().Do(
            {}, outputs, {"source": str(copy_case("bad-ckpt_truncated_data-a"))}
        )
    assert [list(Path(artifacts[0].uri).iterdir()) for artifacts in outputs.values()] == [[], []]


def test_fault_that_the_driver_saw_is_raised(outputs, copy_case):
    properties = {"source": str(copy_case(CHECKPOINT)), "source_fault": "nothing complete was there"}
    with pytest.raises(SourceError, match="nothing complete was there"):
        _get_executor("checkpoint_importer")().Do({}, outputs, properties)


@pytest.mark.parametrize("fails", [False, True], ids=["conversion succeeds", "conversion fails"])
def test_source_that_is_written_meanwhile_is_not_believed(outputs, copy_case, monkeypatch, fails):
    import components.conversion as conversion_module

    source, other = copy_case(CHECKPOINT), copy_case("tf1.12-lr-a", "other")
    convert = conversion_module.convert_confined

    def convert_while_somebody_writes(*arguments):
        conversion = convert(*arguments)
        shutil.copytree(other, source, dirs_exist_ok=True)
        if fails:
            raise ValueError("odd bytes")
        return conversion

    monkeypatch.setattr(conversion_module, "convert_confined", convert_while_somebody_writes)
    properties = {"source": str(source), "signatures": _signatures(CHECKPOINT)}
    with pytest.raises(BrokenSourceError, match="changed while it was being read"):
        _get_executor("checkpoint_importer")().Do({}, outputs, properties)
    assert list(Path(outputs["model"][0].uri).iterdir()) == []


def test_exit_of_a_users_file_is_an_error(outputs, copy_case, tmp_path):
    custom_objects = tmp_path / "objects.py"
    custom_objects.write_text("import sys\nsys.exit(3)\n")
    options = json.dumps({"source": {"custom_objects": str(custom_objects)}})
    with pytest.raises(SettingsError, match="SystemExit: 3"):
        _get_executor("keras_converter")().Do(
            {}, outputs, {"source": str(copy_case(KERAS)), "options": options}
        )


def test_trainers_model_is_converted_validated_and_resolved(tfx, run_pipeline, copy_case, tmp_path):
    from components.keras_converter import KerasConverter
    from components.saved_model_validator import SavedModelValidator

    copy_case(KERAS, "trained/Format-Serving")

    def make_nodes() -> list:
        trained = tfx.Importer(
            source_uri=str(tmp_path / "trained"), artifact_type=tfx.standard_artifacts.Model
        ).with_id("trainer")
        converter = KerasConverter(source_model=trained.outputs["result"])
        validator = SavedModelValidator(converter.outputs["model"], converter.outputs["baseline"])
        return [trained, converter, validator]

    run_pipeline(*make_nodes())
    blessing = read_latest(tmp_path, "SavedModelValidator").outputs["blessing"]
    assert blessing.get_flag("blessed"), blessing.get_text("reasons")
    assert (Path(blessing.uri) / "BLESSED").is_file()

    latest = tfx.Resolver(
        strategy_class=tfx.LatestBlessedModelStrategy,
        model=tfx.Channel(type=tfx.standard_artifacts.Model),
        model_blessing=tfx.Channel(type=tfx.standard_artifacts.ModelBlessing),
    ).with_id("latest")
    recheck = SavedModelValidator(latest.outputs["model"]).with_id("recheck")
    run_pipeline(*make_nodes(), latest, recheck)
    converted = read_latest(tmp_path, "KerasConverter")
    assert converted.state == "cached"
    assert read_latest(tmp_path, "recheck").inputs["model"].id == converted.outputs["model"].id

    # The upstream artifact keeps its id, but not its contents: the digest notices.
    shutil.copytree(
        copy_case("keras3.12-multi_io-a", "other"),
        tmp_path / "trained" / "Format-Serving",
        dirs_exist_ok=True,
    )
    run_pipeline(*make_nodes())
    assert dict(read_runs(tmp_path)[-1])["KerasConverter"] == "complete"


def test_missing_model_is_a_check_that_could_not_be_made(tfx, tmp_path):
    from components.saved_model_validator.executor import Executor
    from servable.errors import CheckError

    blessing, report = tfx.standard_artifacts.ModelBlessing(), tfx.standard_artifacts.ModelEvaluation()
    blessing.uri, report.uri = str(tmp_path / "blessing"), str(tmp_path / "report")
    with pytest.raises(CheckError, match="no model"):
        Executor().Do({"model": []}, {"blessing": [blessing], "report": [report]}, {})


@pytest.mark.parametrize(
    ("case", "target", "blessed", "marker"),
    [
        ("tf1.15-sm_predict_images-a", "current", 1, "BLESSED"),
        ("bad-sm_readfile-a", "current", 0, "NOT_BLESSED"),
        # Its save function holds DisableCopyOnRead, which TensorFlow 2.6 has never heard of.
        ("tf2.16-sm_keras_export-a", "kserve", 0, "NOT_BLESSED"),
    ],
)
def test_foreign_saved_model_is_judged_not_raised(
    tfx, copy_case, tmp_path, monkeypatch, case, target, blessed, marker
):
    from components.saved_model_validator.executor import Executor

    copy_case(case, "model/all")
    found = next((tmp_path / "model" / "all").rglob("saved_model.pb")).parent
    shutil.move(found, tmp_path / "model" / "Format-Serving")
    model = tfx.standard_artifacts.Model()
    model.uri, model.id = str(tmp_path / "model"), 42
    blessing, report = tfx.standard_artifacts.ModelBlessing(), tfx.standard_artifacts.ModelEvaluation()
    blessing.uri, report.uri = str(tmp_path / "blessing"), str(tmp_path / "report")
    monkeypatch.setenv("SERVABLE_CACHE_DIR", str(tmp_path / "no runtimes"))
    policy = json.dumps({"target": target})
    Executor().Do({"model": [model]}, {"blessing": [blessing], "report": [report]}, {"policy": policy})
    assert blessing.get_int_custom_property("blessed") == blessed
    assert blessing.get_int_custom_property("current_model_id") == 42
    assert [path.name for path in (tmp_path / "blessing").iterdir()] == [marker]
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    assert data["passed"] is bool(blessed)
    assert data["summary"] in blessing.get_string_custom_property("blessing_message")
    assert "<html" in (tmp_path / "report" / "report.html").read_text()
    for artifact in (blessing, report):
        assert artifact.get_string_custom_property("target") == target
    reasons = blessing.get_string_custom_property("reasons")
    assert ("target: kserve does not load the model" in reasons) is (target == "kserve")


def test_older_stack_gets_the_same_properties(tfx, copy_case):
    from components.content_driver import ContentDriver
    from components.source_content import pin_source
    from servable.convert import ConversionOptions

    source = copy_case(CHECKPOINT)
    properties = {"source": str(source), "options": "{}", "signatures": "{}"}
    resolved = ContentDriver(None).resolve_exec_properties(properties, None, None)
    assert (
        resolved.items() >= {**properties, **pin_source(source, ConversionOptions()).to_properties()}.items()
    )
    assert "tensorflow 2." in resolved["toolchain"]


@pytest.mark.filterwarnings("ignore:.*matching_channel_name")  # TFX's older stack asks for it itself.
def test_older_stack_gets_names_of_its_own_and_empty_directories(tfx, tmp_path):
    from tfx.orchestration import data_types

    from components.content_driver import ToolchainDriver

    config = tfx.metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    pipeline_info = data_types.PipelineInfo("p", str(tmp_path / "root"), run_id="r1")
    names = []
    with tfx.metadata.Metadata(config) as handle:
        for node in ("one", "two", "two"):
            info = data_types.ComponentInfo("type", node, pipeline_info)
            channels = {"model": tfx.Channel(type=tfx.standard_artifacts.Model)}
            prepared = ToolchainDriver(handle)._prepare_output_artifacts(
                {}, channels, {}, 7, pipeline_info, info
            )
            (artifact,) = prepared["model"]
            assert list(Path(artifact.uri).iterdir()) == []
            Path(artifact.uri, "leftover").touch()
            names.append(artifact.name)
    assert names[0] != names[1] == names[2]


def _get_executor(component: str):
    from components.checkpoint_importer.executor import Executor as CheckpointExecutor
    from components.keras_converter.executor import Executor as KerasExecutor

    return {"checkpoint_importer": CheckpointExecutor, "keras_converter": KerasExecutor}[component]


def _signatures(case: str) -> str:
    """The signature that the recorded case itself describes."""
    described = json.loads(
        (Path(__file__).resolve().parents[1] / "data" / "zoo" / case / "case.json").read_text()
    )
    if "tensor" not in described["inputs"][0]:
        return "{}"
    sides = {
        side: {item["name"]: item["tensor"] for item in described[side]} for side in ("inputs", "outputs")
    }
    return json.dumps({"predict": sides})
