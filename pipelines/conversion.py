"""WHAT runs: for every model of the settings one branch: convert, validate, pack where it is wanted, push.

What passes through: `Settings` come in, a TFX pipeline goes out; HOW it runs is a runner's business
(`local.py`). TFX is imported when a pipeline is made, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from components.source_kinds import CHECKPOINT_KINDS, KERAS_KINDS
from pipelines.metadata.store import make_connection_config
from pipelines.settings import ModelSettings, Settings, SourceFamily
from servable.errors import SettingsError
from servable.sources.resolving import resolve_source
from servable.sources.staging import stage_source

# They go with a graph that lies in a file, and with nothing else.
_GRAPH_OPTIONS = ("freeze", "step", "ema", "tags", "assets", "allow_ops", "keep_training_ops")


@dataclass(frozen=True, slots=True)
class Branch:
    """Node ids of one model's branch. ML Metadata and the cache know the nodes by them."""

    convert: str
    validate: str
    push: str
    pack: str = ""

    @classmethod
    def from_model(cls, model: ModelSettings) -> Self:
        """Names the nodes of a model."""
        convert, validate, push, pack = (
            f"{stage}_{model.name}" for stage in ("convert", "validate", "push", "pack")
        )
        return cls(convert, validate, push, pack if model.pack is not None else "")

    @property
    def node_ids(self) -> tuple[str, ...]:
        """In the order in which they run."""
        return (self.convert, self.validate, *([self.pack] if self.pack else []), self.push)


def create_pipeline(settings: Settings) -> Any:
    """Builds the pipeline of all models in the settings.

    Args:
        settings: With one model or several; the node ids depend on the model alone, so that a pipeline of
            one model shares its cache with the pipeline of all.

    Returns:
        `tfx.orchestration.pipeline.Pipeline`. No source is read beyond what tells its kind.

    Raises:
        SourceError: A model has no `kind` and its source tells none.
        SettingsError: An option does not go with the kind of its source, or the address of ML Metadata names
            an environment variable that is not set.

    Example:
        >>> from tfx.orchestration.local.local_dag_runner import LocalDagRunner
        >>> LocalDagRunner().run(create_pipeline(load_settings(Path("configs/digits.yaml"))))
    """
    from tfx.orchestration import pipeline

    nodes = [node for model in settings.models for node in create_branch(model)]
    return pipeline.Pipeline(
        pipeline_name=settings.pipeline.name,
        pipeline_root=str(settings.pipeline.root),
        components=nodes,
        enable_cache=settings.pipeline.cache,
        metadata_connection_config=make_connection_config(settings.pipeline.metadata),
        beam_pipeline_args=list(settings.pipeline.beam_pipeline_args),
    )


def create_branch(model: ModelSettings) -> tuple[Any, ...]:
    """Makes the components of one model.

    Raises:
        SourceError: It has no `kind` and its source tells none.
        SettingsError: An option does not go with the kind of its source.
    """
    from tfx.components.pusher.component import Pusher
    from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
    from tfx.proto import pusher_pb2

    from components.atomic_pushing import AtomicPushExecutor
    from components.saved_model_validator import SavedModelValidator

    branch = Branch.from_model(model)
    converter = create_converter(model).with_id(branch.convert)
    validator = SavedModelValidator(
        model=converter.outputs["model"],
        baseline=converter.outputs["baseline"],
        signatures=model.list_requests(),
        policy=model.check_policy,
        examples_files=model.examples,
        target=model.target,
        served_dir=model.push_dir if model.compare_with_served else None,
        make_warmup=model.make_warmup,
        raise_on_rejection=model.raise_on_rejection,
    ).with_id(branch.validate)
    destination = pusher_pb2.PushDestination.Filesystem(base_directory=str(model.push_dir))
    # A Pusher that is given a model pushes that, and not the copy with warm-up requests.
    pusher = Pusher(
        model=None if model.make_warmup else converter.outputs["model"],
        model_blessing=validator.outputs["blessing"],
        infra_blessing=validator.outputs["infra_blessing"] if model.make_warmup else None,
        push_destination=pusher_pb2.PushDestination(filesystem=destination),
    ).with_id(branch.push)
    # Given as an argument it works alike, with a warning that advises a class of one's own.
    pusher.executor_spec = ExecutorClassSpec(AtomicPushExecutor)
    if model.pack is None:
        return converter, validator, pusher
    return converter, validator, _create_packager(model, converter, validator).with_id(branch.pack), pusher


def _create_packager(model: ModelSettings, converter: Any, validator: Any) -> Any:
    from components.serving_packager import ServingPackager

    pack = model.pack
    assert pack is not None
    return ServingPackager(
        model=converter.outputs["model"],
        blessing=validator.outputs["blessing"],
        report=validator.outputs["report"],
        baseline=converter.outputs["baseline"],
        model_name=model.name,
        platforms=pack.platforms,
        options=pack.options,
        policy=model.check_policy,
        target=model.target,
        destination=pack.to,
        signing_key=pack.signing_key,
    )


def create_converter(model: ModelSettings) -> Any:
    """Makes the component that takes the source of one model.

    Raises:
        SourceError: It has no `kind` and its source tells none.
        SettingsError: An option does not go with the kind of its source.
    """
    family = model.kind or choose_family(model)
    if family is SourceFamily.CHECKPOINT:
        from components.checkpoint_importer import CheckpointImporter

        _refuse_options(model, family, ("replace_layers",))
        return CheckpointImporter(
            source=model.source,
            signatures=model.list_requests(),
            freeze=model.freeze,
            step=model.step,
            ema=model.ema,
            tags=model.tags,
            architecture=model.architecture,
            module=model.module,
            custom_objects=model.custom_objects,
            inputs=model.inputs,
            assets=model.assets,
            allow_ops=model.allow_ops,
            keep_training_ops=model.keep_training_ops,
            default_signature=model.default_signature,
            make_baseline=model.make_baseline,
            target=model.target,
        )
    from components.keras_converter import KerasConverter

    _refuse_options(model, family, _GRAPH_OPTIONS)
    return KerasConverter(
        source=model.source,
        signatures=model.list_requests(),
        custom_objects=model.custom_objects,
        replace_layers={
            name: f"{layer.file}:{layer.function}" for name, layer in model.replace_layers.items()
        },
        architecture=model.architecture,
        module=model.module,
        inputs=model.inputs,
        default_signature=model.default_signature,
        make_baseline=model.make_baseline,
        target=model.target,
    )


def choose_family(model: ModelSettings) -> SourceFamily:
    """Looks at a source's content to see which component takes it.

    Raises:
        SourceError: There is nothing complete and known.
        SettingsError: It is of a kind that no component takes.
    """
    with stage_source(str(model.source), step=model.step, with_values=False) as staged:
        kind = resolve_source(staged.path, step=model.step).kind
    for family, kinds in (
        (SourceFamily.CHECKPOINT, CHECKPOINT_KINDS),
        (SourceFamily.KERAS, KERAS_KINDS),
    ):
        if kind in kinds:
            return family
    raise SettingsError(
        f"No component converts the source of model {model.name!r}.",
        expected=", ".join(sorted(CHECKPOINT_KINDS | KERAS_KINDS)),
        received=str(kind),
        where=str(model.source),
    )


def _refuse_options(model: ModelSettings, family: SourceFamily, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(model, name) not in (None, {}, (), False)]
    if given:
        raise SettingsError(
            f"Options of model {model.name!r} do not go with a source of the {family.value} kind.",
            expected=f"no {', '.join(given)}",
            received=", ".join(f"{name}: {getattr(model, name)}" for name in given),
            advice="leave them out, or name the other kind",
        )
