"""What each check asks, in one sentence: for pages and programs that show a report.

What passes through: a check's name comes in, a sentence goes out. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "layout": "Are all files there and readable, and does none lead out of the folder?",
        "tags": "Is there one graph whose tag set is exactly {serve}?",
        "signatures": "Can a client call the model, under the names that were asked for?",
        "ops": "Does nothing in the graph run Python, touch files or go online?",
        "target": "Do the ops of the runtime that is to serve the model load and run it?",
        "variables": "Is everything there that the graph restores?",
        "weights": "Are all values readable, undamaged and finite?",
        "serving_load": "Does the C++ loader of TensorFlow Serving load the model and run every signature?",
        "fidelity": "Does it answer what the source framework answered?",
        "inference_mode": "Is the same request answered alike twice, and each row by itself?",
        "batch": "Does it run with other numbers of rows?",
        "robustness": "Does it stand requests that are unusual or wrong?",
        "cost": "What do loading and answering cost in time and memory?",
        "runtimes": "Do the very runtimes that are to serve it load it, run it and answer alike?",
        "metrics": "Is it as good on examples as it has to be?",
    }
)


def describe_check(name: str) -> str:
    """Says what a check asks; of one that is not known here, its name."""
    return _QUESTIONS.get(name, f"Check {name}")
