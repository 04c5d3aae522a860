"""TFX component that checks whether a SavedModel is fit to serve.

The component is imported when it is asked for: workers of a Beam pipeline need only `beam_pipeline`, and
would otherwise import TFX for half a minute each.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.saved_model_validator.component import SavedModelValidator

__all__ = ["SavedModelValidator"]


def __getattr__(name: str) -> Any:
    if name == "SavedModelValidator":
        from components.saved_model_validator.component import SavedModelValidator

        return SavedModelValidator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
