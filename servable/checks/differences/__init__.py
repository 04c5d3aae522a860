"""Two SavedModels side by side: `diff_servables` is the door.

What passes through: two folders come in, a `ServableDiff` goes out. It judges neither of them.
"""

from servable.checks.differences.changes import Change, ServableDiff
from servable.checks.differences.diffing import diff_servables

__all__ = ["Change", "ServableDiff", "diff_servables"]
