"""HTTP: one application for both interfaces, REST's and EAS's, on Starlette.

What passes through: HTTP requests come in, whole and bounded; each is answered in a thread, since the runtime
is waited for.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from servable.serving.eas import answer_eas, read_eas_path
from servable.serving.json_replies import write_refusal
from servable.serving.rest import Answer, answer_rest
from servable.serving.served_model import ServedModel
from servable.serving.statuses import Code, StatusError

_TOO_LARGE = 413


def make_http_app(model: ServedModel, *, request_bytes: int) -> Starlette:
    """Makes the application.

    Args:
        model: Who answers.
        request_bytes: A larger body is refused.
    """

    async def answer(request: Request) -> Response:
        try:
            body = await _read_body(request, request_bytes)
        except ClientDisconnect:
            return Response(status_code=499)
        if body is None:
            message = f"the body has more than the {request_bytes} bytes that this server takes"
            refusal = write_refusal(StatusError(Code.RESOURCE_EXHAUSTED, message))
            return Response(refusal, _TOO_LARGE, {"Connection": "close"}, "application/json")
        method = "GET" if request.method == "HEAD" else request.method
        done = await run_in_threadpool(_answer, model, method, request.scope["path"], body)
        return Response(done.body, done.status, media_type=done.media_type)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def _answer(model: ServedModel, method: str, path: str, body: bytes) -> Answer:
    service = read_eas_path(path)
    if service is not None:
        return answer_eas(model, method, service, body=body)
    return answer_rest(model, method, path, body=body)


async def _read_body(request: Request, limit_bytes: int) -> bytes | None:
    """Gives None when there is more than the limit.

    As much again is read and forgotten: most clients listen only when they have said everything.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > 2 * limit_bytes:
        return None
    body = bytearray()
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > 2 * limit_bytes:
            return None
        if size_bytes <= limit_bytes:
            body += part
        else:
            body.clear()
    return bytes(body) if size_bytes <= limit_bytes else None
