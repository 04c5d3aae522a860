"""Versions that come and go: whole ones, half ones, broken ones, and what clients notice of it."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from servable.baseline import Baseline, Sample
from servable.deploy.warm_up import WARM_UP_FILE, add_warm_up
from servable.errors import UnknownSourceError
from servable.formats.eas_messages import PredictResponse, decode_arrays, make_predict_request
from servable.formats.protos import SavedModel
from servable.serving.folders import find_place

LOOKS_S = 0.3  # several looks


def write_model(folder, name="saved_model.pb"):
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")


def test_base_path_and_version(tmp_path):
    base = tmp_path / "digits"
    for name in ("1", "007", "-3", "latest", "1.5", "99999999999999999999"):
        write_model(base / name)
    write_model(base / "9", "saved_model.pbtxt")
    (base / "10" / "variables").mkdir(parents=True)  # not whole yet
    (base / "11").write_text("no folder")
    place = find_place(base)
    assert (place.name, place.is_version) == ("digits", False)
    assert sorted(place.find_versions()) == [-3, 1, 7, 9]
    place = find_place(base / "007")
    assert (place.name, place.is_version, list(place.find_versions())) == ("digits", True, [7])
    place = find_place(base / "latest")
    assert (place.name, list(place.find_versions())) == ("latest", [1])


def test_a_folder_of_several_models_is_none(tmp_path):
    write_model(tmp_path / "digits" / "1")
    write_model(tmp_path / "texts" / "3")
    with pytest.raises(UnknownSourceError, match="digits, texts"):
        find_place(tmp_path)
    (tmp_path / "2").mkdir()  # a version that is not whole yet
    assert not find_place(tmp_path).find_versions()


def list_states(served):
    answer = served.ask_json("/v1/models/m")[1]
    return {int(one["version"]): one["state"] for one in answer["model_version_status"]}


def test_waits_for_the_first_version(serve, simple, push_version, golden, check_close, tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    with serve(base) as served:
        assert any("no version is there yet" in told for told in served.told)
        assert served.ask("/v1/models/m")[0] == 404
        assert served.ask("/v1/models/m:predict", {"inputs": 1})[0] == 404
        push_version(simple.source, base / "1")
        served.wait_for("version 1 answers")
        status, answer = served.ask_json("/v1/models/m:predict", {"inputs": golden[0].tolist()})
        assert status == 200
        check_close(answer["outputs"], golden[1])


def test_a_version_without_its_model_file_is_not_loaded(serve, simple, tmp_path):
    shutil.copytree(simple.source, tmp_path / "m/1")
    shutil.copytree(simple.source / "variables", tmp_path / "m/2/variables")
    with serve(tmp_path / "m") as served:
        time.sleep(LOOKS_S)
        assert list_states(served) == {1: "AVAILABLE"}


def test_a_broken_version_is_told_of_and_the_old_one_goes_on(
    serve, simple, copy_reversed, golden, check_close, tmp_path
):
    x, y = golden
    shutil.copytree(simple.source, tmp_path / "m/1")
    whole = copy_reversed(simple.source, tmp_path / "whole")
    with serve(tmp_path / "m") as served:
        broken = tmp_path / "m/2"
        shutil.copytree(whole / "variables", broken / "variables")
        data = (whole / "saved_model.pb").read_bytes()
        (broken / "saved_model.pb").write_bytes(data[: len(data) // 2])
        served.wait_for("version 2 does not load; version 1 goes on")
        assert list_states(served) == {1: "AVAILABLE", 2: "END"}
        said = served.ask_json("/v1/models/m/versions/2")[1]["model_version_status"][0]["status"]
        assert said["error_code"] != "OK"
        assert "saved_model.pb" in said["error_message"]
        check_close(served.ask_json("/v1/models/m:predict", {"inputs": x.tolist()})[1]["outputs"], y)
        # Once it is mended it takes over, and once it is gone the old one is back.
        (broken / "saved_model.pb").write_bytes(data)
        served.wait_for("version 2 answers")
        served.wait_for("version 1 has ended")
        assert list_states(served) == {1: "END", 2: "AVAILABLE"}
        check_close(served.ask_json("/v1/models/m:predict", {"inputs": x.tolist()})[1]["outputs"], y[:, ::-1])
        assert served.ask("/v1/models/m/versions/1:predict", {"inputs": x.tolist()})[0] == 404
        shutil.rmtree(broken)
        served.wait_for("version 2 has ended")
        assert list_states(served) == {1: "AVAILABLE", 2: "END"}
        check_close(served.ask_json("/v1/models/m:predict", {"inputs": x.tolist()})[1]["outputs"], y)


def test_a_version_that_does_not_run_is_told_of(serve, zoo, tmp_path):
    shutil.copytree(zoo("bad-sm_no_serve_tag-a").source, tmp_path / "m/3")
    with serve(tmp_path / "m") as served:
        served.wait_for("version 3 does not load")
        assert list_states(served) == {3: "END"}
        assert served.ask("/v1/models/m:predict", {"inputs": 1})[0] == 404


def test_versions_change_under_load_and_no_request_is_lost(
    serve, simple, copy_reversed, push_version, golden, tmp_path
):
    """Four clients, two of each interface, while a version is pushed as TFX's Pusher does it."""
    x, y = golden
    push_version(simple.source, tmp_path / "m/1")
    new = copy_reversed(simple.source, tmp_path / "new")
    ended = threading.Event()
    answers = {client: [] for client in range(4)}

    def ask_rest(served):
        status, answer = served.ask_json("/v1/models/m:predict", {"instances": x.tolist()})
        return answer["predictions"] if status == 200 else answer

    def ask_eas(served):
        status, data = served.ask("/", make_predict_request("", {"x": x}).SerializeToString())
        return decode_arrays(PredictResponse.FromString(data).outputs)["y"] if status == 200 else data

    def keep_asking(served, client):
        ask = (ask_rest, ask_eas)[client % 2]
        while not ended.is_set():
            answers[client].append(ask(served))

    with serve(tmp_path / "m", processes=2) as served:
        clients = [threading.Thread(target=keep_asking, args=(served, client)) for client in answers]
        for client in clients:
            client.start()
        push_version(new, tmp_path / "m/2")
        served.wait_for("version 2 answers")
        served.wait_for("version 1 has ended")
        for client in clients:  # each is answered by the new one as well
            count = len(answers[clients.index(client)])
            while len(answers[clients.index(client)]) < count + 3:
                time.sleep(0.01)
        ended.set()
        for client in clients:
            client.join()
    assert not any("although" in told for told in served.told)
    for own in answers.values():
        versions = [name_version(answer, y) for answer in own]
        assert None not in versions
        assert versions == sorted(versions)  # never back
        assert versions[0] == 1
        assert versions[-3:] == [2, 2, 2]


def name_version(answer, y):
    for version, wanted in ((1, y), (2, y[:, ::-1])):
        try:
            if abs(wanted - answer).max() < 1e-4:
                return version
        except (TypeError, ValueError):
            return None
    return None


def test_warm_up_requests_are_answered_first(serve, simple, golden, tmp_path):
    shutil.copytree(simple.source, tmp_path / "m/1")
    x = golden[0]
    assert add_warm_up(tmp_path / "m/1", Baseline({"serving_default": Sample({"x": x}, {})})).requests == 2
    with serve(tmp_path / "m") as served:
        assert list_states(served) == {1: "AVAILABLE"}
        shutil.copytree(tmp_path / "m/1", tmp_path / "other")
        records = tmp_path / "other" / WARM_UP_FILE
        records.write_bytes(records.read_bytes()[:-1])
        (tmp_path / "other").rename(tmp_path / "m/2")
        served.wait_for("version 2 does not load; version 1 goes on")
        # A request that no signature takes is no better than a damaged one.
        rename_signature(simple.source, tmp_path / "third")
        shutil.copytree(tmp_path / "m/1/assets.extra", tmp_path / "third/assets.extra")
        (tmp_path / "third").rename(tmp_path / "m/3")
        served.wait_for("version 3 does not load; version 1 goes on: warm-up request 0 fails")
        assert list_states(served) == {1: "AVAILABLE", 2: "END", 3: "END"}


def rename_signature(source, target):
    shutil.copytree(source, target)
    path = target / "saved_model.pb"
    model = SavedModel.FromString(path.read_bytes())
    signatures = model.meta_graphs[0].signature_def
    signatures["other"].CopyFrom(signatures["serving_default"])
    del signatures["serving_default"]
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("name", ["1", "m"])
def test_one_version_alone(serve, simple, tmp_path, name):
    shutil.copytree(simple.source, tmp_path / name)
    with serve(tmp_path / name) as served:
        assert list_states(served) == {1: "AVAILABLE"}
