"""The tree of errors, a word that every room may use.

    ServableError
    ├── SourceError               the model file that was handed in
    │   ├── UnknownSourceError        is not a model file that we know
    │   ├── BrokenSourceError         is damaged, incomplete or contradicts itself
    │   └── UnsafeSourceError         would run code or reach outside itself
    ├── SignatureError            the signature asked for does not fit the model
    ├── ExportError               the SavedModel could not be written
    ├── CheckError                a check could not be made (a failed check is a Finding, never this)
    ├── DeployError               a model could not be packed for a platform as asked
    │   └── NotApprovedError          it was not found fit to serve there
    └── SettingsError             a setting, option or file of the user's is wrong
        └── UsageError                words of the command line contradict each other

No TensorFlow here.
"""

from __future__ import annotations


class ServableError(Exception):
    """Root of every error that this library raises on purpose.

    Args:
        problem: One sentence that says what is wrong.
        expected: What would have been right.
        received: What was found instead.
        where: File, key, layer, node or tensor.
        advice: What to do next, best as a command that can be pasted.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: str = "",
        received: str = "",
        where: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.received = received
        self.where = where
        self.advice = advice

    def __str__(self) -> str:
        parts = [
            ("", self.problem),
            ("expected: ", self.expected),
            ("received: ", self.received),
            ("where: ", self.where),
            ("next: ", self.advice),
        ]
        # Foreign text is set in further, so that no line of it passes for one of ours.
        return "\n  ".join(label + text.replace("\n", "\n      ") for label, text in parts if text)


class SourceError(ServableError):
    """Something is wrong with the model file that was handed in."""


class UnknownSourceError(SourceError):
    """The path holds nothing that is known as a model file."""


class BrokenSourceError(SourceError):
    """The model file is truncated, corrupt, incomplete or contradicts itself."""


class UnsafeSourceError(SourceError):
    """Loading the model file would run code or touch files outside it."""


class SignatureError(ServableError):
    """A signature that was asked for does not fit the model, or itself."""


class ExportError(ServableError):
    """The SavedModel could not be written as asked."""


class CheckError(ServableError):
    """A check could not be made at all; says nothing about the model."""


class DeployError(ServableError):
    """A model could not be packed for a platform as asked."""


class NotApprovedError(DeployError):
    """A model was not found fit to serve, at all or by one platform."""


class SettingsError(ServableError):
    """An option, a setting or a file of the user's is wrong."""


class UsageError(SettingsError):
    """The words of a command line contradict each other."""
