"""WHAT runs: TFX's own components upstream and downstream, all unchanged, and this project's three between.

    CsvExampleGen ─► Trainer ─┬─► CheckpointImporter ─► SavedModelValidator ─► Pusher ─► BulkInferrer
                              │        └─► Evaluator          ▲
                              │                            Resolver
                              └─► KerasConverter ─► SavedModelValidator ─► Pusher
                                                              ▲
                                                           Resolver

What passes through: the folders of the example come in, a TFX pipeline goes out. TFX is imported when it is
made, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.stock_tfx.data import LABEL
from examples.stock_tfx.places import CHECKPOINT, KERAS, PIPELINE_NAME, USER_MODULE, Branch, Places

# As the user's module saves them; it is not imported for its constants, since it imports TensorFlow.
CHECKPOINT_DIR = "checkpoint"
KERAS_FILE = "wine.keras"

_LEAST_ACCURACY = 0.9
_MOST_DROP = 0.05


def create_pipeline(places: Places, *, epochs: int = 30) -> Any:
    """Builds the pipeline.

    Args:
        places: Where everything lies.
        epochs: Rounds over the training rows.

    Returns:
        `tfx.orchestration.pipeline.Pipeline`.
    """
    # Each from its own module: `tfx.components` sets what it cannot import to None.
    from tfx.components.bulk_inferrer.component import BulkInferrer
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.components.trainer.component import Trainer
    from tfx.orchestration import metadata, pipeline
    from tfx.proto import bulk_inferrer_pb2

    from components.checkpoint_importer.component import CheckpointImporter
    from components.keras_converter.component import KerasConverter

    example_gen = CsvExampleGen(input_base=str(places.csv_dir))
    examples = example_gen.outputs["examples"]
    trainer = Trainer(module_file=str(USER_MODULE), examples=examples, custom_config={"epochs": epochs})
    importer = CheckpointImporter(
        source_model=trainer.outputs["model"],
        source_subpath=CHECKPOINT_DIR,
        module=USER_MODULE,
        inputs=places.samples_path,
    ).with_id(CHECKPOINT.convert)
    converter = KerasConverter(source_model=trainer.outputs["model"], source_subpath=KERAS_FILE).with_id(
        KERAS.convert
    )
    of_checkpoint = _create_gate(importer, examples, CHECKPOINT, places)
    of_keras = _create_gate(converter, examples, KERAS, places)
    evaluator = _create_evaluator(importer, examples, of_checkpoint["resolver"])
    inferrer = BulkInferrer(
        examples=examples,
        model=importer.outputs["model"],
        model_blessing=of_checkpoint["validator"].outputs["blessing"],
        data_spec=bulk_inferrer_pb2.DataSpec(example_splits=["eval"]),
    )
    inferrer.add_upstream_node(of_checkpoint["pusher"])
    return pipeline.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=str(places.root_dir),
        components=[
            example_gen,
            trainer,
            importer,
            converter,
            *of_checkpoint.values(),
            *of_keras.values(),
            evaluator,
            inferrer,
        ],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(places.metadata_path)),
    )


def _create_gate(converter: Any, examples: Any, branch: Branch, places: Places) -> Mapping[str, Any]:
    """Puts the latest blessed model of the same branch, the checks and the Pusher behind a converter."""
    from tfx.components.pusher.component import Pusher
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
    from tfx.proto import pusher_pb2
    from tfx.types import Channel, standard_artifacts

    from components.saved_model_validator.component import SavedModelValidator

    resolver = Resolver(
        strategy_class=LatestBlessedModelStrategy,
        # Without the node's id, as pipelines of one model have it, it would find the other branch's too.
        model=Channel(type=standard_artifacts.Model, producer_component_id=branch.convert),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing, producer_component_id=branch.validate),
    ).with_id(branch.resolve)
    validator = SavedModelValidator(
        model=converter.outputs["model"],
        baseline=converter.outputs["baseline"],
        examples=examples,
        baseline_model=resolver.outputs["model"],
        policy={
            "metrics": {
                "label": LABEL,
                "task": "classification",
                "budget": {"accuracy": _LEAST_ACCURACY, "accuracy_drop": _MOST_DROP},
            }
        },
    ).with_id(branch.validate)
    folder = pusher_pb2.PushDestination.Filesystem(base_directory=str(places.get_push_dir(branch)))
    pusher = Pusher(
        model=converter.outputs["model"],
        model_blessing=validator.outputs["blessing"],
        infra_blessing=validator.outputs["infra_blessing"],
        push_destination=pusher_pb2.PushDestination(filesystem=folder),
    ).with_id(branch.push)
    return {"resolver": resolver, "validator": validator, "pusher": pusher}


def _create_evaluator(converter: Any, examples: Any, resolver: Any) -> Any:
    """Lets TFX's own Evaluator judge the same model by the same figure."""
    import tensorflow_model_analysis as tfma  # type: ignore[import-untyped]
    from tfx.components.evaluator.component import Evaluator

    least = tfma.GenericValueThreshold(lower_bound={"value": _LEAST_ACCURACY})
    drop = tfma.GenericChangeThreshold(
        direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -_MOST_DROP}
    )
    accuracy = tfma.MetricConfig(
        class_name="SparseCategoricalAccuracy",
        threshold=tfma.MetricThreshold(value_threshold=least, change_threshold=drop),
    )
    return Evaluator(
        examples=examples,
        model=converter.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[tfma.ModelSpec(signature_name="serving_default", label_key=LABEL)],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[tfma.MetricsSpec(metrics=[accuracy])],
        ),
    )
