"""The front door's options for examples: `servable check --examples FILE --label KEY --task TASK`.

What passes through: words of a command line come in; the files, and the policy with what is measured on them,
go out. No TensorFlow here.
"""

from __future__ import annotations

import argparse
import dataclasses
import glob
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from servable.errors import SettingsError, UsageError
from servable.formats.remote import is_remote

if TYPE_CHECKING:
    from servable.checks.example_files import ExampleFiles
    from servable.checks.policy import CheckPolicy

_TASKS = ("classification", "binary", "regression")


def add_examples_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is measured on labelled examples."""
    group = parser.add_argument_group("examples", "more of it is said by section metrics of the policy")
    group.add_argument(
        "--examples",
        action="append",
        metavar="FILE",
        help="TFRecord file of tf.Examples, plain or gzipped, or a glob in quotes; repeatable",
    )
    group.add_argument("--label", metavar="KEY", help="the feature with the right answer")
    group.add_argument("--task", choices=_TASKS, help="what the output is (default: classification)")


def read_examples(
    arguments: argparse.Namespace,
) -> tuple[ExampleFiles | None, Callable[[CheckPolicy], CheckPolicy]]:
    """Finds the files, and says how the options change the policy.

    Raises:
        SettingsError: A pattern finds no file, or a file lies elsewhere.
        UsageError: A label or a task is named, and no examples.
    """
    if not arguments.examples:
        if arguments.label or arguments.task:
            raise UsageError(
                "--label and --task say what is measured on examples.", expected="--examples FILE"
            )
        return None, lambda policy: policy
    from servable.checks.example_files import ExampleFiles

    paths = tuple(path for pattern in arguments.examples for path in _find_files(pattern))
    return ExampleFiles(paths), partial(_add_metrics, label=arguments.label, task=arguments.task)


def _add_metrics(policy: CheckPolicy, *, label: str | None, task: str | None) -> CheckPolicy:
    from servable.checks.metrics_policy import MetricsPolicy, Task

    try:
        if policy.metrics is None:
            if not label:
                raise UsageError(
                    "What is measured on the examples?",
                    expected="--label KEY, or section metrics in the policy",
                    advice="name the feature that holds the right answer",
                )
            section = MetricsPolicy(label=label, task=Task(task or Task.CLASSIFICATION))
        else:
            chosen = policy.metrics.task if task is None else Task(task)
            section = dataclasses.replace(policy.metrics, task=chosen, label=label or policy.metrics.label)
    except ValueError as error:
        raise SettingsError(
            "The options do not go with section metrics of the policy.",
            received=str(error),
            advice="leave them out, or correct the section",
        ) from error
    return dataclasses.replace(policy, metrics=section)


def _find_files(pattern: str) -> list[Path]:
    if is_remote(pattern):
        raise SettingsError(
            "Examples are read from files of this machine.",
            expected="a path or a glob",
            received=pattern,
            advice="fetch them first; the TFX component reads them where they are",
        )
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise SettingsError(
            "There are no such examples.",
            expected="a TFRecord file of tf.Examples",
            received=pattern,
            advice="correct the path; a glob stands in quotes",
        )
    return [Path(path) for path in found]
