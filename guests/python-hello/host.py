"""What a handler asks of the server: to wait, to go on after the response, to ask others.

Owner: the project; change it at will. Invariant: in a test, where there is no component, all of it
can be imported, and all but `fetch` works.
"""

import asyncio
import json
import re
import sys
import traceback
from dataclasses import dataclass
from urllib.parse import urlsplit

try:
    import wit_world
    from componentize_py_async_support import spawn as start
    from componentize_py_types import Err, Ok
    from wit_world.imports import client, monotonic_clock
    from wit_world.imports import wasi_http_types as http
except ImportError:  # a test
    monotonic_clock = None

    def start(coroutine):
        tasks.add(task := asyncio.ensure_future(coroutine))
        task.add_done_callback(tasks.discard)

    tasks = set()

CHUNK = 64 * 1024
LONGEST = 1e9  # seconds, some thirty years; the host counts nanoseconds in 64 bits
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_IN_A_VALUE = re.compile(r"[\0-\x08\n-\x1f\x7f]")


def complain(what, error):
    """Says in the server's log what was raised, and where; each line is an error by its first word."""
    why = traceback.format_exception_only(error)[0].strip()
    lines = [f"{what}: {why}", *"".join(traceback.format_exception(error)).splitlines()]
    sys.stderr.write("".join(f"ERROR web: {line}\n" for line in lines))


def spawn(coroutine):
    """Goes on with it after the response. What it raises is in the server's log."""
    start(logged(coroutine))


async def logged(coroutine):
    try:
        await coroutine
    except BaseException as error:
        complain("what was spawned failed", error)


async def sleep(seconds):
    """`asyncio.sleep` for components, whose event loop has no timers of its own. Raises a
    `ValueError` for less than nothing and more than thirty years."""
    if monotonic_clock:
        await monotonic_clock.wait_for(nanoseconds(seconds))
    else:
        await asyncio.sleep(nanoseconds(seconds) / 1e9)


def nanoseconds(seconds):
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"not a time in seconds: {seconds!r}")
    return int(seconds * 1_000_000_000)


def pairs(headers):
    """Headers, given as pairs or as a dict; raises a `ValueError` for what is none."""
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    for name, value in headers:
        # Else a value from outside could add headers, or a body, of its own.
        known = isinstance(name, str) and isinstance(value, str)
        if not known or not TOKEN.fullmatch(name) or NOT_IN_A_VALUE.search(value):
            raise ValueError(f"not a header: {name!r}: {value!r}")
    return headers


def joined(pairs):
    """Headers by lower-case name; those that come several times are one list (RFC 9110, 5.3)."""
    headers = {}
    for name, value in pairs:
        name = name.lower()
        separator = "; " if name == "cookie" else ", "
        headers[name] = headers[name] + separator + value if name in headers else value
    return headers


@dataclass
class Reply:
    """What another server answered."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


async def fetch(url, method="GET", headers=(), body=b"", timeout=None):
    """Asks another server, as `outbound.allow` permits. Gives a `Reply`, whatever its status;
    raises an `OSError` when there is none, or half of one. `timeout` is in seconds: to connect,
    until the response begins, and between pieces of its body."""
    if not monotonic_clock:
        raise OSError("only a component can fetch; in a test, put a function in its place")
    limit = None if timeout is None else nanoseconds(timeout)
    # Half-read, a response could not be let go of: whoever cancels this does not cancel that.
    return await asyncio.shield(asyncio.ensure_future(ask(url, method, headers, body, limit)))


async def ask(url, method, headers, body, limit):
    try:
        response = await client.send(request_of(url, method, headers, body, limit))
        status = response.get_status_code()
        with response.get_headers() as fields:
            received = [(name, value.decode("latin-1")) for name, value in fields.copy_all()]
        return Reply(status, joined(received), await whole(http.Response, response))
    except (ValueError, Err) as error:
        why = getattr(error, "value", error) or "the server refuses to ask for it"
        raise OSError(f"failed to fetch {url}: {why}") from error


def request_of(url, method, headers, body, limit):
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("a URL begins with http:// or https:// and a host")
    fields = http.Fields.from_list([(name, value.encode()) for name, value in pairs(headers)])
    options = http.RequestOptions()
    if limit is not None:
        options.set_connect_timeout(limit)
        options.set_first_byte_timeout(limit)
        options.set_between_bytes_timeout(limit)
    content = None
    body = body.encode() if isinstance(body, str) else bytes(memoryview(body))
    if body:
        writer, content = wit_world.byte_stream()
        start(send(writer, body))
    request, _sent = http.Request.new(fields, content, no_trailers(), options)
    # The counterpart of how a request's method is read.
    known = getattr(http, f"Method_{method.capitalize()}", None)
    request.set_method(known() if known and method != "OTHER" else http.Method_Other(method))
    request.set_scheme(http.Scheme_Http() if parts.scheme == "http" else http.Scheme_Https())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return request


def no_trailers():
    """Says so as soon as it is returned, for the end that would write them is dropped."""
    new = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    return new(lambda: Ok(None))[1]


async def send(writer, body):
    with writer:
        await writer.write_all(body)


async def whole(kind, message):
    """The body of a request or a response; raises an `Err` when it breaks off."""
    done = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]
    stream, trailers = kind.consume_body(message, done)
    body = bytearray()
    with stream:
        while not stream.writer_dropped:
            body += await stream.read(CHUNK)
    end = await trailers.read()
    if isinstance(end, Err):
        raise end
    return bytes(body)
