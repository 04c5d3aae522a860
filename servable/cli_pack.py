"""The front door's command that packs: `servable pack SAVED_MODEL OUT --platform eas --platform tf-serving`.

What passes through: words of a command line come in; the model is checked where no report was named, and
packed. A sentence, tables and what to type next or JSON go out, and an exit code: 1 for a model that is not
fit, or a pack that is not what was made. No TensorFlow here.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from servable.cli_answer import EXIT_DONE, EXIT_FINDINGS, print_json
from servable.cli_options import add_policy_options, read_path_here, read_policy
from servable.deploy.signing import PASSWORD_VARIABLE, SigningKey
from servable.errors import SettingsError, UnknownSourceError, UsageError

if TYPE_CHECKING:
    from servable.deploy.options import PackOptions
    from servable.report import Report

_DEFAULT_VERSION: Final = 1


def add_pack_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `pack` to the front door's commands, and gives its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "pack",
        help="pack a checked SavedModel for the platforms that serve it, or verify a pack",
        description="Packs what was checked, to the byte: descriptors, archives and warm-up files for each "
        "platform, a manifest and a bill of materials. Exit codes: 0 done, 1 not fit or not what was packed, "
        "2 could not.",
    )
    parser.add_argument("saved_model", nargs="?", help="folder with saved_model.pb, here or at gs://...")
    parser.add_argument("out", nargs="?", type=read_path_here, help="new folder for the pack")
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="NAME",
        help="eas, tf-serving, kserve, vertex or sagemaker; repeatable",
    )
    parser.add_argument("--name", help="of the model (default: that of its folder)")
    parser.add_argument("--version", type=int, metavar="N", help="of its folder (default: its own, or 1)")
    parser.add_argument(
        "--baseline", type=read_path_here, metavar="FILE", help="its inputs become warm-up requests"
    )
    parser.add_argument(
        "--report",
        type=read_path_here,
        metavar="FILE.json",
        help="of servable check --json on this model (default: check it now)",
    )
    parser.add_argument(
        "--options", type=read_path_here, metavar="FILE.json", help="platforms to their options"
    )
    parser.add_argument(
        "--uri",
        action="append",
        default=[],
        metavar="PLATFORM=ADDRESS",
        help="folder that you upload to, such as eas=oss://bucket/models; repeatable",
    )
    parser.add_argument("--mlmd-uuid", default="", metavar="ID", help="of the model in ML Metadata")
    group = parser.add_argument_group("signatures and verification")
    group.add_argument(
        "--sign",
        type=read_path_here,
        metavar="KEY.pem",
        help=f"sign the pack with this private key; its password stands in ${PASSWORD_VARIABLE}",
    )
    group.add_argument(
        "--verify", type=read_path_here, metavar="DIR", help="look whether a pack is unchanged"
    )
    group.add_argument(
        "--public-key", type=read_path_here, metavar="KEY.pem", help="verify its signature, too"
    )
    group.add_argument(
        "--signature", type=read_path_here, metavar="FILE", help="of the pack (default: DIR.sig)"
    )
    add_policy_options(parser)
    parser.set_defaults(run=run_pack)
    return parser


def run_pack(arguments: argparse.Namespace) -> int:
    """Packs a model or verifies a pack, and prints what became of it.

    Raises:
        UsageError: The words of the command line contradict each other.
        SettingsError: A file, a name or an option is wrong.
        SourceError: There is no such folder.
        NotApprovedError: The report says that the model is not fit to serve, or a platform does not run it.
        DeployError: The model is not the one that was checked, or the folder to verify is no pack.
        CheckError: A check could not be made.
    """
    if arguments.verify is not None:
        return _verify(arguments)
    if arguments.saved_model is None or arguments.out is None:
        raise UsageError(
            "What is to be packed, and where to?",
            expected="servable pack SAVED_MODEL OUT --platform NAME, or servable pack --verify DIR",
        )
    from servable.baseline import load_baseline
    from servable.checks.suite import check_servable
    from servable.cli_pack_text import pack_as_json, write_pack
    from servable.cli_remote import open_source_place
    from servable.cli_text import show_progress, write_report
    from servable.deploy.choosing import choose_runtimes
    from servable.deploy.packing import pack_servable
    from servable.deploy.platforms import read_platforms
    from servable.targets.catalog import find_target

    # All that a user may have mistyped is told before anything takes time.
    platforms = read_platforms(arguments.platform)
    options = read_options(arguments.options, arguments.uri)
    policy = read_policy(arguments)
    given = None if arguments.report is None else _read_report(arguments.report)
    baseline = None if arguments.baseline is None else load_baseline(arguments.baseline)
    if given is None:
        choose_runtimes(platforms, find_target(policy.target), options)
    name, version = _name_model(arguments)
    with (
        show_progress(enabled=not arguments.json) as progress,
        open_source_place(arguments, arguments.saved_model, progress=progress) as source,
    ):
        if not source.path.is_dir():
            raise UnknownSourceError(
                "There is no such folder.",
                expected="a SavedModel: a folder with saved_model.pb",
                where=arguments.saved_model,
                advice="name the folder itself, such as digits/1",
            )
        report = given or check_servable(source.path, baseline=baseline, policy=policy, progress=progress)
        if given is None and not report.passed:
            if arguments.json:
                print_json(report.to_dict())
            else:
                write_report(report)
            return EXIT_FINDINGS
        pack = pack_servable(
            source.path,
            arguments.out,
            report=report,
            platforms=platforms,
            name=name,
            version=version,
            baseline=baseline,
            options=options,
            mlmd_uuid=arguments.mlmd_uuid,
            key=_read_key(arguments),
            limits=policy.make_limits(),
            progress=progress,
        )
    if arguments.json:
        print_json(pack_as_json(pack))
    else:
        write_pack(pack)
    return EXIT_DONE


def read_options(path: Path | None, uris: list[str]) -> PackOptions:
    """Reads the platforms' options from a file, and lays addresses over them.

    Args:
        path: JSON, platforms to their options.
        uris: Each as PLATFORM=ADDRESS.

    Raises:
        SettingsError: The file cannot be read, or an option is wrong.
        UsageError: An address has no platform.
    """
    from servable.deploy.options import PackOptions

    settings: dict[str, Any] = {} if path is None else _read_json(path, "a JSON object, platforms to options")
    for text in uris:
        platform, separator, uri = text.partition("=")
        if not separator or not uri:
            raise UsageError("--uri wants PLATFORM=ADDRESS.", expected="eas=oss://...", received=text)
        section = settings.get(platform) or {}
        settings[platform] = {**section, "uri": uri} if isinstance(section, Mapping) else section
    return PackOptions.from_dict(settings)


def _verify(arguments: argparse.Namespace) -> int:
    from servable.cli_pack_text import write_verification
    from servable.cli_text import show_progress
    from servable.deploy.verifying import verify_pack

    if arguments.saved_model is not None or arguments.platform:
        raise UsageError(
            "A pack is made or verified, not both.",
            expected="servable pack --verify DIR",
            received="a model or a platform beside it",
        )
    with show_progress(enabled=not arguments.json) as progress:
        report = verify_pack(
            arguments.verify,
            public_key=arguments.public_key,
            signature=arguments.signature,
            progress=progress,
        )
    if arguments.json:
        print_json(report.to_dict())
    else:
        write_verification(report)
    return EXIT_DONE if report.passed else EXIT_FINDINGS


def _name_model(arguments: argparse.Namespace) -> tuple[str, int]:
    """Takes name and version from the folder where they were not typed: digits/3 is version 3 of digits."""
    parts = [part for part in arguments.saved_model.rstrip("/").split("/") if part not in ("", ".", "..")]
    version = _DEFAULT_VERSION
    if parts and parts[-1].isascii() and parts[-1].isdigit():
        version = int(parts.pop())
    name = arguments.name or (parts[-1] if parts else "model")
    return name, version if arguments.version is None else arguments.version


def _read_report(path: Path) -> Report:
    from servable.report import Report

    data = _read_json(path, "what servable check --json prints, or report.json of SavedModelValidator")
    try:
        return Report.from_json(json.dumps(data))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            "This is no report.",
            expected="what servable check --json prints",
            received=repr(error),
            where=str(path),
        ) from error


def _read_json(path: Path, expected: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError(f"no object, but {type(data).__name__}")
    except (OSError, ValueError) as error:
        raise SettingsError(
            "This file cannot be read.", expected=expected, received=str(error), where=str(path)
        ) from error
    return data


def _read_key(arguments: argparse.Namespace) -> SigningKey | None:
    if arguments.sign is None:
        return None
    return SigningKey(arguments.sign, os.environ.get(PASSWORD_VARIABLE))
