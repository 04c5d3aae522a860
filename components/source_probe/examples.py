"""The digest of the files that a glob finds, by names and contents: for the driver, and for the probe.

What passes through: a pattern comes in, 64 hex digits go out. Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path


def digest_examples(pattern: str) -> str:
    """Digests the files.

    Args:
        pattern: An absolute glob.

    Returns:
        sha256; that of nothing where no file is found, which the checks then say.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - an absolute pattern
        with Path(name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(f"{len(name.encode())} {name} ".encode() + content)
    return digest.hexdigest()
