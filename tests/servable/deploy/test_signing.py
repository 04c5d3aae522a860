"""Signatures of packs, checked by model-signing itself and by our own door."""

from __future__ import annotations

import json

import pytest

from servable.deploy.packing import pack_servable
from servable.deploy.platforms import Platform
from servable.deploy.signing import SigningKey
from servable.deploy.verifying import verify_pack
from servable.errors import DeployError, SettingsError

pytest.importorskip("model_signing", reason="extra `sign` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def write_keys(folder, name, password=None):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    encryption = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path, "own")


def pack(model, out, report, key):
    return pack_servable(model, out, report=report, platforms=[Platform.VERTEX], name="digits", key=key)


def test_a_signed_pack_is_verified_and_a_changed_one_refused(model, report, keys, tmp_path):
    from model_signing import verifying

    private, public = keys
    made = pack(model, tmp_path / "pack", report, SigningKey(private))
    assert made.signature_path == tmp_path / "pack.sig"
    theirs = verifying.Config().use_elliptic_key_verifier(public_key=public)
    theirs.verify(made.pack_dir, made.signature_path)
    found = verify_pack(made.pack_dir, public_key=public)
    assert (found.passed, found.checked) == (True, ("manifest", "signature"))

    # Whoever changes a file and the manifest with it is found out by the signature alone.
    manifest = json.loads((made.pack_dir / "manifest.json").read_text())
    manifest["name"] = "other"
    (made.pack_dir / "manifest.json").write_text(json.dumps(manifest))
    assert verify_pack(made.pack_dir).passed
    (finding,) = verify_pack(made.pack_dir, public_key=public).errors
    assert "not those that were signed" in finding.message


def test_another_key_and_half_a_signature_do_not_hold(model, report, keys, tmp_path):
    made = pack(model, tmp_path / "pack", report, SigningKey(keys[0]))
    _, stranger = write_keys(tmp_path, "stranger")
    assert not verify_pack(made.pack_dir, public_key=stranger).passed
    made.signature_path.write_bytes(made.signature_path.read_bytes()[:200])
    assert not verify_pack(made.pack_dir, public_key=keys[1]).passed
    made.signature_path.unlink()
    with pytest.raises(SettingsError, match="no such file"):
        verify_pack(made.pack_dir, public_key=keys[1])


def test_a_password_opens_an_encrypted_key(model, report, tmp_path):
    private, public = write_keys(tmp_path, "locked", password="open")
    for password in (None, "wrong"):
        with pytest.raises(SettingsError, match="cannot sign"):
            pack(model, tmp_path / "pack", report, SigningKey(private, password))
    assert not (tmp_path / "pack").exists()
    made = pack(model, tmp_path / "pack", report, SigningKey(private, "open"))
    assert verify_pack(made.pack_dir, public_key=public).passed


def test_the_signature_of_another_pack_is_not_overwritten(model, report, keys, tmp_path):
    (tmp_path / "pack.sig").write_text("other")
    with pytest.raises(DeployError, match="signature of another pack"):
        pack(model, tmp_path / "pack", report, SigningKey(keys[0]))
