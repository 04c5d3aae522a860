"""What is written for Vertex AI, held against Google's own client, which TFX brings along."""

from __future__ import annotations

import inspect
import os

import pytest

from servable.deploy.options import VertexOptions
from servable.deploy.platforms import VERTEX_RELEASES
from servable.deploy.uploads import describe_vertex_upload

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("SERVABLE_VENDOR_CLIENTS") != "1",
        reason="imports Google's client, which takes long; set SERVABLE_VENDOR_CLIENTS=1",
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.mark.parametrize("gpu", [False, True])
def test_its_client_takes_the_arguments_and_knows_the_container(gpu):
    aiplatform = pytest.importorskip("google.cloud.aiplatform")
    from google.cloud.aiplatform.constants import prediction

    for release in VERTEX_RELEASES:
        options = VertexOptions(uri="gs://b", gpu=gpu)
        upload = describe_vertex_upload("digits", 1, release=release, digest="ab", options=options)
        inspect.signature(aiplatform.Model.upload).bind(**upload)
        assert upload["serving_container_image_uri"] in prediction.SERVING_CONTAINER_URIS
