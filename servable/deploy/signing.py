"""Signatures over a finished pack, as OpenSSF's model-signing makes and checks them.

What passes through: a folder and a user's key come in, the bytes of a signature go out; or a folder, a
signature and a public key come in, and a report goes out. Nothing goes online: a key of an elliptic curve
signs by itself. The package is an extra: ``pip install tfx-servable[sign]``.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from servable.errors import SettingsError
from servable.report import Finding, Report, Severity

SIGNATURE_SUFFIX: Final = ".sig"
# A password is no word of a command line, which every user of a machine can read.
PASSWORD_VARIABLE: Final = "SERVABLE_SIGNING_KEY_PASSWORD"
_MISMATCH: Final = "Signature mismatch"
_CHECK: Final = "signature"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key: PEM, of one of the curves P-256, P-384 and P-521.

    Attributes:
        path: Its file.
        password: Where it is encrypted.
    """

    path: Path
    password: str | None = None


def find_signature_path(pack_dir: Path) -> Path:
    """Says where the signature of a pack lies: beside the folder, since in it it would sign itself."""
    return pack_dir.with_name(pack_dir.name + SIGNATURE_SUFFIX)


def open_signer(key: SigningKey) -> Any:
    """Reads a key, before long work that would be in vain without it.

    Returns:
        What `sign_folder` takes.

    Raises:
        SettingsError: The package is not installed, or the key cannot be read or is of another kind.
    """
    signing = _import_part("signing")
    try:
        # The package hands the password on to a library that takes bytes.
        password: Any = None if key.password is None else key.password.encode()
        return signing.Config().use_elliptic_key_signer(private_key=key.path, password=password)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            "This key cannot sign.",
            expected="a private key in PEM, of curve P-256, P-384 or P-521, and its password if it has one",
            received=str(error),
            where=str(key.path),
            advice="make one with  openssl ecparam -name prime256v1 -genkey -noout -out KEY.pem",
        ) from error


def sign_folder(folder: Path, signer: Any) -> bytes:
    """Signs every file of a folder.

    Args:
        folder: Finished.
        signer: Of `open_signer`.

    Returns:
        A sigstore bundle, JSON.
    """
    with tempfile.TemporaryDirectory(prefix="servable-signature-") as scratch:
        path = Path(scratch) / "signature"
        signer.sign(folder, path)
        return path.read_bytes()


def verify_signature(folder: Path, signature_path: Path, public_key: Path) -> Report:
    """Looks whether a folder is what the owner of a key signed.

    Raises:
        SettingsError: The package is not installed, or the key or the signature cannot be read.
    """
    verifying = _import_part("verifying")
    for path, what in ((public_key, "a public key in PEM"), (signature_path, "a signature of a pack")):
        if not path.is_file():
            raise SettingsError("There is no such file.", expected=what, where=str(path))
    findings = []
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (ValueError, TypeError) as error:
        raise SettingsError(
            "This key cannot be read.",
            expected="a public key in PEM",
            received=str(error),
            where=str(public_key),
        ) from error
    try:
        config.verify(folder, signature_path)
    except Exception as error:
        message = f"the signature does not hold: {_shorten(error)}"
        advice = "Take pack and signature again from where they were made; do not upload this pack."
        findings.append(Finding(_CHECK, Severity.ERROR, message, str(signature_path), advice))
    return Report(str(folder), checked=(_CHECK,), findings=tuple(findings))


def _import_part(name: str) -> Any:
    try:
        if name == "signing":
            from model_signing import signing

            return signing
        from model_signing import verifying

        return verifying
    except ImportError as error:
        raise SettingsError(
            "Signatures need a package that is not installed.",
            expected="model-signing and pyopenssl",
            received=str(error),
            advice="pip install 'tfx-servable[sign]'",
        ) from error


def _shorten(error: Exception) -> str:
    if str(error).startswith(_MISMATCH):
        return "the files are not those that were signed"  # the manifest names them, without raw bytes
    return " ".join(str(error).split()) or type(error).__name__
