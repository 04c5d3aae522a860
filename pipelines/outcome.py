"""What a run did for each model, and what a server will now load, as plain values.

What passes through: a runner hands in what ML Metadata recorded, `commands/` prints the outcomes. Neither
TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from components.rejection import ModelRejectedError
from pipelines.conversion import Branch
from pipelines.lineage.model_lineage import find_pushed_path
from pipelines.metadata.records import ExecutionRecord
from pipelines.settings import ModelSettings
from servable.errors import ServableError


class State(StrEnum):
    """How a model's branch ended."""

    PUSHED = "pushed"
    UNCHANGED = "unchanged"  # nothing new: the version that is served is the one of these contents
    REFUSED = "refused"  # not found fit to serve; what was pushed earlier is untouched
    FAILED = "failed"  # could not be converted, checked or pushed


@dataclass(frozen=True, slots=True)
class ModelOutcome:
    """What a run did for one model.

    Attributes:
        model: Name in the settings.
        state: How it ended.
        message: Why it was refused or failed; what else a person should know.
        pushed_path: Version directory of these contents, None when there is none.
        report_path: The page of the checks, None when none was made.
        pack_path: What was made for platforms, None when nothing was.
        executed: Nodes that did work in this run.
        cached: Nodes whose earlier result was taken.
    """

    model: str
    state: State
    message: str = ""
    pushed_path: Path | None = None
    report_path: Path | None = None
    pack_path: Path | None = None
    executed: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run did.

    Attributes:
        run_id: The run in ML Metadata.
        models: In the order of the settings.
    """

    run_id: str
    models: tuple[ModelOutcome, ...]

    @property
    def exit_code(self) -> int:
        """2 when a branch failed, else 1 when a model was refused, else 0."""
        states = {outcome.state for outcome in self.models}
        return 2 if State.FAILED in states else 1 if State.REFUSED in states else 0

    def find(self, model: str) -> ModelOutcome:
        """Gets the outcome of one model."""
        return next(outcome for outcome in self.models if outcome.model == model)


def describe_outcome(
    model: ModelSettings, executions: Sequence[ExecutionRecord], *, error: BaseException | None = None
) -> ModelOutcome:
    """Tells how a branch ended.

    Args:
        model: The model of the branch.
        executions: What ML Metadata recorded of its nodes in this run, oldest first.
        error: What was raised, if anything.
    """
    nodes = Branch.from_model(model)
    latest = {item.node_id: item for item in executions if item.node_id in nodes.node_ids}
    executed = tuple(node for node in nodes.node_ids if node in latest and latest[node].state == "complete")
    cached = tuple(node for node in nodes.node_ids if node in latest and latest[node].state == "cached")
    validated, pushed = latest.get(nodes.validate), latest.get(nodes.push)
    report_path = None
    if validated is not None and "report" in validated.outputs:
        report_path = Path(validated.outputs["report"].uri) / "report.html"
    if isinstance(error, ModelRejectedError):
        report_path = error.report_dir / "report.html"
        return ModelOutcome(
            model.name, State.REFUSED, str(error), report_path=report_path, executed=executed, cached=cached
        )
    if error is not None or validated is None or pushed is None or "pushed_model" not in pushed.outputs:
        message = "the run left no record of a push" if error is None else _describe_error(error)
        return ModelOutcome(
            model.name, State.FAILED, message, report_path=report_path, executed=executed, cached=cached
        )
    pushed_path = find_pushed_path(pushed.outputs["pushed_model"])
    blessing = validated.outputs["blessing"]
    if pushed_path is None:
        state, message = State.REFUSED, blessing.get_text("reasons") or blessing.get_text("blessing_message")
    else:
        state = State.UNCHANGED if pushed.state == "cached" else State.PUSHED
        message = describe_shadow(pushed_path)
    return ModelOutcome(
        model.name,
        state,
        message,
        pushed_path,
        report_path,
        _find_pack(latest.get(nodes.pack)),
        executed,
        cached,
    )


def _find_pack(packed: ExecutionRecord | None) -> Path | None:
    if packed is None or "pack" not in packed.outputs:
        return None
    destination = packed.outputs["pack"].get_text("destination")
    return Path(destination) if destination else None


def _describe_error(error: BaseException) -> str:
    # The library's own errors speak in sentences; of others the class is half of the message.
    return str(error) if isinstance(error, ServableError) else f"{type(error).__name__}: {error}"


def find_newest_version(push_dir: Path) -> Path | None:
    """Finds the version that TensorFlow Serving loads: the directory with the largest number as its name."""
    if not push_dir.is_dir():
        return None
    versions = [path for path in push_dir.iterdir() if path.is_dir() and path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=None)


def describe_shadow(pushed_path: Path) -> str:
    """Says whether a server loads another version than this one; "" when it loads this one."""
    newest = find_newest_version(pushed_path.parent)
    if newest is None or newest.name == pushed_path.name:
        return ""
    return f"a server loads version {newest.name}, whose number is larger; this pipeline did not push it last"


def must_push_again(cached: ExecutionRecord | None, earlier: Iterable[ExecutionRecord]) -> bool:
    """Says whether a push that the cache skipped has to be made after all.

    TFX's cache knows contents, not what a server loads now. Two cases need a new version: the directory that
    was pushed is gone, and the source went back to earlier contents while a later push of this pipeline is
    still what a server loads. A version that somebody else put there is left alone.

    Args:
        cached: This run's execution of the push node.
        earlier: Every execution of that node.
    """
    if cached is None or cached.state != "cached" or "pushed_model" not in cached.outputs:
        return False
    pushed_path = find_pushed_path(cached.outputs["pushed_model"])
    if pushed_path is None:
        return False
    if not (pushed_path / "saved_model.pb").is_file():
        return True
    own = {
        find_pushed_path(item.outputs["pushed_model"]) for item in earlier if "pushed_model" in item.outputs
    }
    newest = find_newest_version(pushed_path.parent)
    return newest is not None and newest != pushed_path and newest in own
