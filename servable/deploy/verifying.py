"""The second door of the room: is a pack still what was made?

What passes through: a folder comes in, and where there is one its signature and a public key; a report goes
out. Whoever pushes a pack asks here first.
"""

from __future__ import annotations

from pathlib import Path

from servable.deploy.manifest import verify_manifest
from servable.deploy.signing import find_signature_path, verify_signature
from servable.model import Progress
from servable.report import Report, merge_reports


def verify_pack(
    pack_dir: Path,
    *,
    public_key: Path | None = None,
    signature: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compares every file of a pack with its manifest, and the whole with its signature.

    Args:
        pack_dir: Made by `pack_servable`.
        public_key: Of whoever signed it; without one no signature is looked at.
        signature: Its file; by default the one beside the pack.
        progress: Told of the bytes read.

    Returns:
        Checks "manifest" and, with a key, "signature". Each file that was changed, is missing or was not
        packed is an error that names it.

    Raises:
        DeployError: The folder is no pack.
        SettingsError: The key or the signature cannot be read, or the package that reads them is not
            installed.

    Example:
        >>> report = verify_pack(Path("digits-pack"))
        >>> report.passed
        True
    """
    parts = [verify_manifest(pack_dir, progress=progress)]
    if public_key is not None:
        path = find_signature_path(pack_dir) if signature is None else signature
        parts.append(verify_signature(pack_dir, path, public_key))
    return merge_reports(str(pack_dir), parts)
