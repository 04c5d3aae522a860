"""Settings: everything that one run of the pipeline needs, as frozen values.

What passes through: `settings_file.py` fills them from YAML, `conversion.py` builds the pipeline from them.
Neither TensorFlow nor TFX here, so that a typo is told within a second.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StrictBool, StrictInt, StrictStr

from pipelines.settings_fields import FilePath, Location, Name, Schedule, Store, Switch
from servable.errors import SettingsError
from servable.signature import SignatureRequest, read_requests
from servable.targets.catalog import CURRENT


class SourceFamily(StrEnum):
    """Which of the two converters takes a model; left out, the file itself decides."""

    CHECKPOINT = "checkpoint"
    KERAS = "keras"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PipelineSettings(_Section):
    """Where the pipeline keeps its artifacts and its metadata.

    Attributes:
        name: Name of the pipeline in ML Metadata.
        root: Directory that takes every artifact.
        metadata: ML Metadata: a SQLite file, made when it is missing, or the address of a database.
        cache: False executes every component again.
        workers: How many models are worked on at the same time.
        schedule: When a scheduler runs the pipeline, five fields as of cron; None for runs by hand.
        beam_pipeline_args: How examples are asked, such as ``--runner=FlinkRunner``; this process by default.
    """

    name: Name
    root: FilePath
    metadata: Store
    cache: StrictBool = True
    schedule: Schedule | None = None
    workers: Annotated[StrictInt, Field(ge=1)] = 1
    beam_pipeline_args: tuple[StrictStr, ...] = ()


class SignatureSettings(_Section):
    """One wanted signature: serving key to tensor of the source, for inputs and for outputs."""

    inputs: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    outputs: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    method: StrictStr = "predict"


class LayerSettings(_Section):
    """The user's function that stands in for a Lambda layer's stored code."""

    file: FilePath
    function: StrictStr


class PackSettings(_Section):
    """What platforms want to be given of a model that was found fit to serve.

    Attributes:
        platforms: Such as "eas", "tf-serving", "kserve", "vertex", "sagemaker".
        to: Directory under which ``<name>/<version>`` appears.
        options: Platform to its options, keys as in `servable.deploy.options`.
        signing_key: Private key in PEM; the signature lies beside the pack.
    """

    platforms: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    to: FilePath
    options: dict[StrictStr, dict[StrictStr, Any]] = Field(default_factory=dict)
    signing_key: FilePath | None = None


class ModelSettings(_Section):
    """One model: what it is made from, how it is offered, where it is pushed.

    Attributes:
        name: Server's name of the model.
        source: Checkpoint directory or prefix, Keras file or directory; here, or an address (``gs://...``).
        kind: "checkpoint" or "keras"; left out, the content of the source decides.
        signatures: Wanted signatures by name; empty takes what the source itself suggests.
        freeze: Training switch to its value for serving, such as ``{is_training: false}``.
        step: Training step of the checkpoint; left out, the newest complete one.
        ema: Whether variables take the value of their exponential moving average, where they have one.
        tags: Which graph of a SavedModel; left out, the one tagged "serve", or with nothing.
        architecture: Structure of the model, where the source holds weights only.
        module: Python file with the model's code, where the source holds weights only.
        custom_objects: Python file with the custom Keras objects.
        replace_layers: Lambda layer to the ``{file, function}`` in place of its stored code.
        inputs: `.npz` with inputs on which source and exported model are compared.
        assets: Asset name, as the graph has it, to the file that takes its place.
        allow_ops: Ops that touch files, run code or go online and are let in all the same.
        keep_training_ops: Whether dropout and batch statistics that are built into a graph are left in.
        default_signature: Signature that is also served as "serving_default"; "first" for the first one, None
            for no such alias.
        make_baseline: Whether the source itself is run for the comparison; it then holds all of its
            variables in memory.
        target: The runtime that is to serve the model, as `servable targets` names it.
        policy: Tolerances, switches and limits of the checks, keys as in `CheckPolicy`.
        examples: Labelled rows, TFRecord files of tf.Examples as a glob; section `metrics` of the policy says
            what is measured on them.
        compare_with_served: Whether costs and metrics are measured beside the version that was pushed last.
        make_warmup: Whether the pushed model brings warm-up requests, which are the baseline's inputs.
        raise_on_rejection: Whether the branch fails when the model is not fit to serve, or passes it over.
        push: Directory under which ``<name>/<version>`` appears.
        pack: What is made for platforms, beside that; None for nothing.
    """

    name: Name
    source: Location
    kind: SourceFamily | None = None
    signatures: dict[StrictStr, SignatureSettings] = Field(default_factory=dict)
    freeze: dict[StrictStr, Switch] = Field(default_factory=dict)
    step: Annotated[StrictInt, Field(ge=0)] | None = None
    ema: StrictBool = False
    tags: tuple[StrictStr, ...] | None = None
    architecture: FilePath | None = None
    module: FilePath | None = None
    custom_objects: FilePath | None = None
    replace_layers: dict[StrictStr, LayerSettings] = Field(default_factory=dict)
    inputs: FilePath | None = None
    assets: dict[StrictStr, FilePath] = Field(default_factory=dict)
    allow_ops: tuple[StrictStr, ...] = ()
    keep_training_ops: StrictBool = False
    default_signature: StrictStr | None = "first"
    make_baseline: StrictBool = True
    target: StrictStr = CURRENT
    policy: dict[StrictStr, Any] = Field(default_factory=dict)
    examples: FilePath | None = None
    compare_with_served: StrictBool = False
    make_warmup: StrictBool = False
    raise_on_rejection: StrictBool = False
    push: FilePath
    pack: PackSettings | None = None

    @property
    def push_dir(self) -> Path:
        """The directory whose sub-directories are the versions of this model."""
        return self.push / self.name

    @property
    def signature_data(self) -> dict[str, dict[str, Any]]:
        """The wanted signatures as plain data."""
        return {name: signature.model_dump() for name, signature in self.signatures.items()}

    @property
    def check_policy(self) -> dict[str, Any]:
        """The policy as the checks are given it: an op that is let in while converting is no error there."""
        if not self.allow_ops:
            return self.policy
        return {**self.policy, "allowed_ops": sorted({*self.policy.get("allowed_ops", ()), *self.allow_ops})}

    def list_requests(self) -> tuple[SignatureRequest, ...]:
        """Turns the wanted signatures into the core's words.

        Raises:
            SignatureError: One of them cannot be.
        """
        return read_requests(self.signature_data)


class Settings(_Section):
    """Everything that one run needs.

    Attributes:
        pipeline: Name, artifact root, metadata.
        models: One branch each: convert, validate, push.
    """

    pipeline: PipelineSettings
    models: tuple[ModelSettings, ...]
    # Private, so that no key of the file can set it.
    _config_path: Path | None = PrivateAttr(default=None)

    @property
    def config_path(self) -> Path | None:
        """The file that they were read from; None when they were made in a program."""
        return self._config_path

    def name_file(self, path: Path) -> Self:
        """Gives the same settings with the file that they come from."""
        named = self.model_copy()
        named._config_path = path
        return named

    def select(self, name: str) -> Self:
        """Gives the same settings with this model alone."""
        chosen = tuple(model for model in self.models if model.name == name)
        if not chosen:
            raise SettingsError(
                "There is no such model in the settings.",
                expected=", ".join(model.name for model in self.models),
                received=name,
                advice="name one of these with --model",
            )
        return self.model_copy(update={"models": chosen})
