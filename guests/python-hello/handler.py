"""Joins `app` to `wasi:http/handler@0.3`.

Owner: the project; a handler's author rarely has to look here. Invariant: the response begins
before its body is written, several requests may be under way at the same time, and nothing that
one of them raises ends the others.
"""

import event_loop  # noqa: F401 - changes asyncio's
import wit_world
from app import app
from componentize_py_async_support import spawn
from componentize_py_types import Err
from host import no_trailers, send, whole
from web import Rejection, Request, Response, failed
from wit_world import exports
from wit_world.imports import wasi_http_types as http


class Handler(exports.Handler):
    async def handle(self, request: http.Request) -> http.Response:
        try:
            return begin(await app(await read(request)))
        except Rejection as rejection:
            return begin(rejection.response())
        except BaseException as error:  # a header that only the server may set
            return begin(failed("the response cannot be sent", error))


async def read(request):
    method = request.get_method()
    # `Method_Get` and the like; only `Method_Other` has a value, which is the name.
    name = getattr(method, "value", None) or type(method).__name__.removeprefix("Method_").upper()
    target = request.get_path_with_query() or "/"
    with request.get_headers() as fields:
        headers = [(name, value.decode("latin-1")) for name, value in fields.copy_all()]
    try:
        return Request.of(name, target, headers, await whole(http.Request, request))
    except Err as error:
        raise Rejection(400, "the body broke off") from error


def begin(response: Response):
    writer, reader = wit_world.byte_stream()
    fields = http.Fields.from_list([(name, value.encode()) for name, value in response.headers])
    head, _sent = http.Response.new(fields, reader, no_trailers())
    head.set_status_code(response.status)
    spawn(send(writer, response.body))
    return head
