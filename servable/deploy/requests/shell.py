"""Commands for a shell: curl, with the body in it, behind it or in a file.

What passes through: an address and a body come in, a command goes out in which nothing that the model's maker
chose acts on the shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from servable.deploy.requests.example import Destination, Platform

_REST_SERVER: Final = "http://localhost:8501"
# As KServe's own documentation calls them; they belong to the cluster.
_KSERVE_SERVER: Final = "http://${INGRESS_HOST}:${INGRESS_PORT}"
_KSERVE_HOST: Final = "Host: ${SERVICE_HOSTNAME}"
_EAS_URL: Final = "${EAS_URL}"
_EAS_TOKEN: Final = "Authorization: ${EAS_TOKEN}"
# Linux takes no longer word in a command (MAX_ARG_STRLEN is 128 KiB).
_WORD_BYTES: Final = 100_000
_HAS_CALL: Final = re.compile(r"/v1/models/|:(predict|classify|regress)$")


def write_curl(destination: Destination, method: str, body: str) -> tuple[str, list[str]]:
    """Writes a command that sends JSON.

    Args:
        destination: Where to.
        method: At the end of the address.
        body: Plain ASCII.

    Returns:
        The command, and notes.
    """
    is_kserve = destination.platform is Platform.KSERVE
    call = f"/v1/models/{quote(destination.model_name, safe='')}:{method}"
    headers = ["Content-Type: application/json"]
    notes = []
    if not destination.url:
        url = (_KSERVE_SERVER if is_kserve else _REST_SERVER) + call
        if is_kserve:
            headers.append(_KSERVE_HOST)
            notes.append("INGRESS_HOST, INGRESS_PORT and SERVICE_HOSTNAME are your cluster's.")
    elif _HAS_CALL.search(destination.url):
        url = destination.url
    else:
        url = destination.url.rstrip("/") + call
    return _write_command(headers, url, body, destination.body_path, output=""), notes


def write_eas_curl(destination: Destination) -> tuple[str, list[str]]:
    """Writes a command that sends the bytes of a file to PAI-EAS.

    Returns:
        The command, and notes.
    """
    notes = [] if destination.url else ["EAS_URL is the service's address, EAS_TOKEN its token."]
    url = destination.url or _EAS_URL
    command = _write_command([_EAS_TOKEN], url, "", destination.body_path, output="answer.bin")
    return command, [*notes, "answer.bin is a PredictResponse of tf_predict.proto."]


def _write_command(headers: Sequence[str], url: str, body: str, body_path: str, *, output: str) -> str:
    words = ["curl --silent --show-error", *(f"--header {_quote(header)}" for header in headers)]
    after = ""
    if body_path:
        words.append(f"--data-binary {shlex.quote('@' + body_path)}")
    elif len(body) > _WORD_BYTES:
        words.append("--data-binary @-")
        after = f" <<'END_OF_BODY'\n{body}\nEND_OF_BODY"
    else:
        words.append(f"--data {shlex.quote(body)}")
    words += [f"--output {output}"] if output else []
    return " \\\n  ".join([*words, _quote(url)]) + after


def _quote(text: str) -> str:
    """Quotes a word, but lets our own ${NAMES} act."""
    if "${" not in text:
        return shlex.quote(text)
    parts = re.split(r"(\$\{[A-Z_]+\})", text)
    return "".join(f'"{part}"' if part.startswith("${") else shlex.quote(part) for part in parts if part)
