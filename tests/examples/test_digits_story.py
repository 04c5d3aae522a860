"""The digits example from training to the pushed models' answers, told once and asked many times."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples.digits import run
from examples.digits.ask import compare_all
from examples.digits.data import load_digits, measure_accuracy
from examples.digits.places import CONFIG_PATH, KERAS_MODEL, TF1_MODEL, Places, rebase_settings
from examples.digits.records import load_record
from pipelines.lineage.model_lineage import trace_lineage
from pipelines.settings_file import load_settings
from servable.formats.digest import digest_tree

# Importing TFX warns in dozens of places that are not ours.
pytestmark = [pytest.mark.tfx, pytest.mark.filterwarnings("ignore")]

TF1_NODES = ("convert_digits_tf1", "validate_digits_tf1", "pack_digits_tf1", "push_digits_tf1")
KERAS_NODES = ("convert_digits_keras", "validate_digits_keras", "pack_digits_keras", "push_digits_keras")


def _list_versions(places):
    return {
        model: sorted(path.name for path in places.get_push_dir(model).iterdir())
        for model in (TF1_MODEL, KERAS_MODEL)
    }


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Runs the story three times: from nothing, again, and with the checkpoint overwritten."""
    out_dir = tmp_path_factory.mktemp("digits")
    places = Places(out_dir)
    told = SimpleNamespace(places=places, settings=rebase_settings(load_settings(CONFIG_PATH), out_dir))
    told.outcomes, told.exit_codes, told.versions, told.comparisons = [], [], [], []
    told.trained = []

    real_pipeline, real_training = run._run_pipeline, run.train_missing

    def run_pipeline(settings):
        told.outcomes.append(real_pipeline(settings))
        return told.outcomes[-1]

    def train_missing(places, *, retrain):
        told.trained.append(real_training(places, retrain=retrain))
        return told.trained[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_run_pipeline", run_pipeline)
        patch.setattr(run, "train_missing", train_missing)
        for overwrite in (False, False, True):
            told.exit_codes.append(run.run_story(out_dir, overwrite=overwrite))
            told.versions.append(_list_versions(places))
            told.comparisons.append(compare_all(places))
    return told


def test_every_run_ends_well(story):
    assert story.exit_codes == [0, 0, 0]


def test_first_run_trains_and_pushes_both(story):
    first = story.outcomes[0]
    assert story.trained[0] == (TF1_MODEL, KERAS_MODEL)
    assert (first.find(TF1_MODEL).state, first.find(KERAS_MODEL).state) == ("pushed", "pushed")
    assert first.find(TF1_MODEL).executed == TF1_NODES
    assert first.find(KERAS_MODEL).executed == KERAS_NODES
    assert {model: len(versions) for model, versions in story.versions[0].items()} == {
        TF1_MODEL: 1,
        KERAS_MODEL: 1,
    }


def test_trainers_learned_something(story):
    labels = load_digits().held_out_labels
    for model in (TF1_MODEL, KERAS_MODEL):
        record = load_record(story.places.get_record_path(model))
        assert record.accuracy > 0.95
        assert measure_accuracy(record.scores, labels) == record.accuracy


def test_pushed_models_read_every_scan_as_the_trainers_did(story):
    for comparisons in story.comparisons:
        assert [one.model for one in comparisons] == [TF1_MODEL, KERAS_MODEL]
        for one in comparisons:
            assert one.pushed_accuracy == one.trainer_accuracy
            assert one.different_answers == 0
            assert one.worst_difference < 1e-4  # the bar for float32 probabilities


def test_second_run_does_nothing(story):
    second = story.outcomes[1]
    assert story.trained[1] == ()
    assert [outcome.executed for outcome in second.models] == [(), ()]
    assert [outcome.state for outcome in second.models] == ["unchanged", "unchanged"]
    assert story.versions[1] == story.versions[0]


def test_overwritten_checkpoint_reruns_its_own_branch_alone(story):
    third = story.outcomes[2]
    assert third.find(TF1_MODEL).executed == TF1_NODES
    assert third.find(KERAS_MODEL).executed == ()
    assert third.find(KERAS_MODEL).cached == KERAS_NODES
    assert story.versions[2][KERAS_MODEL] == story.versions[0][KERAS_MODEL]
    assert set(story.versions[2][TF1_MODEL]) > set(story.versions[0][TF1_MODEL])
    assert len(story.versions[2][TF1_MODEL]) == 2
    assert load_record(story.places.get_record_path(TF1_MODEL)).steps == 650


def test_new_version_has_other_weights_under_the_same_checkpoint_name(story):
    old, new = sorted(story.places.get_push_dir(TF1_MODEL).iterdir(), key=lambda path: int(path.name))
    assert digest_tree(old) != digest_tree(new)
    sources = {
        (one.source_path, one.source_digest)
        for one in trace_lineage(story.settings)
        if one.model == TF1_MODEL and one.pushed_path is not None
    }
    assert len({path for path, _ in sources}) == 1
    assert len({digest for _, digest in sources}) == 2


def test_lineage_leads_from_each_pushed_version_to_its_source(story):
    pushes = [one for one in trace_lineage(story.settings) if one.pushed_path is not None]
    assert {(one.model, one.pushed_path.name) for one in pushes} == {
        (model, version) for model, versions in story.versions[2].items() for version in versions
    }
    for one in pushes:
        assert one.is_intact
        assert one.blessed
        assert Path(one.source_path).is_relative_to(story.places.get_training_dir(one.model))
        assert len(one.source_digest) == 64
        assert (Path(one.report_uri) / "report.json").is_file()
    formats = {one.model: one.source_format for one in pushes}
    assert formats == {TF1_MODEL: "tf1-saver", KERAS_MODEL: "keras-hdf5"}


def test_adams_slots_stay_behind(story):
    from servable.formats.checkpoints.bundle import open_bundle

    version = story.versions[2][TF1_MODEL][-1]
    prefix = story.places.get_push_dir(TF1_MODEL) / version / "variables" / "variables"
    names = set(open_bundle(prefix).entries)
    assert "conv1/kernel" in names
    assert not [name for name in names if "Adam" in name or "power" in name or name == "global_step"]


def test_switches_are_no_inputs_of_the_pushed_model(story):
    from servable.formats.protos import SavedModel, parse_message

    version = story.versions[2][TF1_MODEL][-1]
    path = story.places.get_push_dir(TF1_MODEL) / version / "saved_model.pb"
    (meta_graph,) = parse_message(SavedModel, path).meta_graphs
    assert list(meta_graph.signature_def["predict_images"].inputs) == ["images"]
    assert not {"is_training", "keep_prob"} & {
        node.name for node in meta_graph.graph_def.node if node.op.startswith("Placeholder")
    }


@pytest.fixture(scope="module")
def run_variant(story, tmp_path_factory):
    """Converts the trained checkpoint of the story with other switches, beside an earlier good push."""
    from pipelines.local import run_local

    def run_it(freeze):
        folder = tmp_path_factory.mktemp("variant")
        settings = rebase_settings(load_settings(CONFIG_PATH), folder).select(TF1_MODEL)
        (model,) = settings.models
        shutil.copytree(story.places.out_dir / "training", folder / "training")
        good = run_local(settings).find(TF1_MODEL)
        before = _hash_pushed(model)
        other_model = model.model_copy(update={"freeze": freeze})
        other = run_local(settings.model_copy(update={"models": (other_model,)})).find(TF1_MODEL)
        assert good.state == "pushed"
        return other, before, _hash_pushed(model)

    return run_it


def _hash_pushed(model):
    return {path.name: digest_tree(path) for path in model.push_dir.iterdir()}


@pytest.mark.parametrize(
    ("freeze", "symptom", "culprit"),
    [
        pytest.param(
            {"is_training": False, "keep_prob": 0.5}, "second time", "dropout/", id="dropout-left-on"
        ),
        pytest.param(
            {"is_training": True, "keep_prob": 1.0}, "alone", "batch_normalization/", id="batch-norm-training"
        ),
    ],
)
def test_model_in_training_mode_is_not_pushed_and_the_report_says_why(run_variant, freeze, symptom, culprit):
    outcome, before, after = run_variant(freeze)
    assert outcome.state == "refused"
    assert after == before
    assert outcome.pushed_path is None
    assert symptom in outcome.message
    report = json.loads(outcome.report_path.with_suffix(".json").read_text())
    assert report["passed"] is False
    found = [one for one in report["findings"] if one["check"] == "inference_mode"]
    errors = [one for one in found if one["severity"] == "error"]
    assert any(symptom in one["message"] and "predict_images" in one["where"] for one in errors), found
    assert any(culprit in one["where"] for one in found), found
    assert culprit in outcome.report_path.read_text()


def test_forgotten_switches_are_frozen_to_their_value_in_serving(run_variant):
    outcome, before, after = run_variant({})
    assert outcome.state == "pushed"
    (version,) = after.keys() - before.keys()
    assert after[version] in before.values()


def test_comparison_would_see_a_model_of_other_weights(story):
    # The version before the overwriting is another model: its answers are not the new trainer's.
    from examples.digits.ask import ask_model

    old = min(story.places.get_push_dir(TF1_MODEL).iterdir(), key=lambda path: int(path.name))
    scores = ask_model(old, load_digits().held_out_images)
    record = load_record(story.places.get_record_path(TF1_MODEL))
    assert np.max(np.abs(scores - record.scores)) > 1e-3
