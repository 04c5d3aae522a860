"""The settings file as plain data, strictly: no duplicate keys, and every value knows its line.

What passes through: `settings_file.py` asks for the data of one YAML file and, for each fault that it finds,
for the line on which the faulty value stands. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from servable.errors import SettingsError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A parsed YAML file.

    Attributes:
        path: Where it was read.
        data: Plain values: mappings, lists, strings, numbers, booleans, None.
        duplicates: Key paths that the file gives twice, with the line of the second one.
        lines: Line, counted from 1, of every key path.
    """

    path: Path
    data: Any
    duplicates: tuple[tuple[KeyPath, int], ...]
    lines: dict[KeyPath, int]

    def find_line(self, key_path: Sequence[str | int]) -> int | None:
        """Says on which line a value stands; for a missing one, where its nearest parent does."""
        for length in range(len(key_path), 0, -1):
            line = self.lines.get(tuple(key_path[:length]))
            if line is not None:
                return line
        return None


def read_yaml(path: Path) -> YamlFile:
    """Reads one YAML document with PyYAML's safe schema.

    PyYAML takes the last of two equal keys without a word; here they are told apart and reported.

    Args:
        path: The file.

    Raises:
        SettingsError: The file is missing, is not text, or is not one YAML document.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "The settings file cannot be read.",
            expected="a YAML file in UTF-8",
            received=str(error),
            where=str(path),
            advice="check the path; configs/local.yaml shows every key",
        ) from error
    lines: dict[KeyPath, int] = {}
    duplicates: list[tuple[KeyPath, int]] = []
    data = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _note_lines(node, (), lines, duplicates)
            data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise SettingsError(
            "The settings file is not valid YAML.",
            expected="one YAML document",
            received=" ".join(str(error).split()),
            where=str(path),
            advice="mend the line that is named; configs/local.yaml shows every key",
        ) from error
    except RecursionError as error:
        raise SettingsError(
            "The settings file is nested too deeply or refers to itself.",
            expected="a file like configs/local.yaml",
            where=str(path),
        ) from error
    return YamlFile(path, data, tuple(duplicates), lines)


def _note_lines(
    node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], duplicates: list[tuple[KeyPath, int]]
) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*at, index), lines, duplicates)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            here = (*at, name)
            # "<<" merges another mapping, and may stand more than once.
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                duplicates.append((here, key.start_mark.line + 1))
            seen.add(name)
            lines.setdefault(here, key.start_mark.line + 1)
            _note_lines(value, here, lines, duplicates)
