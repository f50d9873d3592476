"""Joins `app` to `wasi:http/handler@0.3`.

Owner: the project; a handler's author rarely has to look here. Invariant: the response begins
before its body is written, several requests may be under way at the same time, and nothing that
one of them raises ends the others.
"""

import asyncio
import sys
import traceback

import wit_world
from app import app
from componentize_py_async_support import spawn
from componentize_py_types import Ok
from web import Request, Response, failed
from wit_world import exports
from wit_world.imports import wasi_http_types as http

CHUNK = 64 * 1024


class Handler(exports.Handler):
    async def handle(self, request: http.Request) -> http.Response:
        response = await app(await read(request))
        try:
            return begin(response)
        except Exception:  # a header that only the server may set, a status that is none
            return begin(failed("the response cannot be sent"))


def log(context):
    """Logs what a task raised that nobody awaits; left to itself, the loop ends the instance."""
    if error := context.get("exception"):
        print("ERROR web: a task failed that nobody awaits", file=sys.stderr)
        traceback.print_exception(error)


def refuse_timer(*_, **__):
    """Else what needs one fails without a word about why."""
    raise NotImplementedError(
        "a component's event loop has no timers, as asyncio.sleep, wait_for and timeout need; "
        "web.sleep(seconds) waits, web.fetch(url, timeout=seconds) has a limit of its own"
    )


loop = asyncio.get_event_loop()
loop.call_exception_handler = log
loop.call_later = loop.call_at = loop.time = refuse_timer


async def read(request):
    method = request.get_method()
    # `Method_Get` and the like; only `Method_Other` has a value, which is the name.
    name = getattr(method, "value", None) or type(method).__name__.removeprefix("Method_").upper()
    target = request.get_path_with_query() or "/"
    with request.get_headers() as fields:
        headers = [(name, value.decode("latin-1")) for name, value in fields.copy_all()]
    _, done = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    stream, _trailers = http.Request.consume_body(request, done)
    body = bytearray()
    with stream:
        while not stream.writer_dropped:
            body += await stream.read(CHUNK)
    return Request.of(name, target, headers, bytes(body))


def begin(response: Response):
    writer, reader = wit_world.byte_stream()
    _, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
        lambda: Ok(None)
    )
    fields = http.Fields.from_list([(name, value.encode()) for name, value in response.headers])
    head, _sent = http.Response.new(fields, reader, trailers)
    head.set_status_code(response.status)
    spawn(write(writer, response.body))
    return head


async def write(writer, body):
    with writer:
        await writer.write_all(body)
