"""Routes to functions: as much of a web framework as a handler needs.

Owner: the project; change it at will. Invariant: it imports nothing that only exists inside a
component, but for what `fetch`, `sleep` and `spawn` do there; and a function that raises, or returns what
cannot be sent, fails its request alone, not the others of the instance.
"""

import asyncio
import inspect
import json
import re
import sys
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

try:
    import wit_world
    from componentize_py_async_support import spawn as start
    from componentize_py_types import Ok
    from wit_world.imports import client, monotonic_clock
    from wit_world.imports import wasi_http_types as http
except ImportError:  # a test
    monotonic_clock = None

    def start(coroutine):
        tasks.add(task := asyncio.ensure_future(coroutine))
        task.add_done_callback(tasks.discard)

    tasks = set()

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_IN_A_VALUE = re.compile(r"[\0-\x08\n-\x1f\x7f]")


class Values(dict):
    """Values by name. Of a name that comes several times, `query["tag"]` is the last value, and
    `query.all("tag")` has them all."""

    def __init__(self, pairs=()):
        pairs = list(pairs)
        super().__init__(pairs)
        self.pairs = pairs

    def all(self, name):
        return [value for other, value in self.pairs if other == name]


def joined(pairs):
    """Headers by lower-case name; those that come several times are one list (RFC 9110, 5.3)."""
    headers = {}
    for name, value in pairs:
        name = name.lower()
        separator = "; " if name == "cookie" else ", "
        headers[name] = headers[name] + separator + value if name in headers else value
    return headers


@dataclass
class Request:
    method: str
    path: str
    query: Values = field(default_factory=Values)
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, method, target, headers=(), body=b""):
        """A request for `/path?query`; of header names only the lower case counts."""
        path, _, query = target.partition("?")
        query = Values(parse_qsl(query, keep_blank_values=True))
        return cls(method, unquote(path), query, joined(headers), body)

    def json(self):
        """The body; raises a `Rejection` when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Rejection(400, f"the body is no JSON: {error}") from error


class Response:
    def __init__(self, body="", status=200, content_type=None, headers=()):
        if isinstance(body, bytes):
            self.body, known = body, "application/octet-stream"
        elif isinstance(body, str):
            self.body, known = body.encode(), "text/plain; charset=utf-8"
        else:
            self.body, known = json.dumps(body).encode() + b"\n", "application/json"
        self.status = status
        self.headers = [("content-type", content_type or known), *headers]
        for name, value in self.headers:
            # Else a value from outside could add headers, or a body, of its own.
            if not TOKEN.fullmatch(name) or NOT_IN_A_VALUE.search(value):
                raise ValueError(f"not a header: {name!r}: {value!r}")


class Rejection(Exception):
    """Raise it to answer with an error."""

    def __init__(self, status, detail, headers=()):
        super().__init__(detail)
        self.status = status
        self.headers = headers

    def response(self):
        problem = {"status": self.status, "detail": str(self)}
        return Response(problem, self.status, "application/problem+json", self.headers)


def failed(what):
    """The answer to a request that nobody else can answer."""
    complain(what)
    return Rejection(500, "something went wrong").response()


def complain(what):
    """Says in the server's log, as an error, what has just been raised."""
    print(f"ERROR web: {what}", file=sys.stderr)
    traceback.print_exc()


class App:
    def __init__(self):
        self.routes = []

    def route(self, method, path):
        """`/items/{id}` gives the function an argument `id`, which is text."""
        names = re.split(r"\{(\w+)\}", path)
        literal, name = names[::2], names[1::2]
        pattern = re.escape(literal[0])
        for parameter, rest in zip(name, literal[1:]):
            pattern += f"(?P<{parameter}>[^/]+){re.escape(rest)}"

        def register(function):
            self.routes.append((method, re.compile(pattern), function))
            return function

        return register

    def get(self, path):
        return self.route("GET", path)

    def post(self, path):
        return self.route("POST", path)

    def put(self, path):
        return self.route("PUT", path)

    def delete(self, path):
        return self.route("DELETE", path)

    async def __call__(self, request):
        try:
            answer = await self.dispatch(request)
            return answer if isinstance(answer, Response) else Response(answer)
        except Rejection as rejection:
            return rejection.response()
        except Exception:
            return failed(f"{request.method} {request.path!r} failed")

    async def dispatch(self, request):
        # The server sends the head alone of what answers HEAD.
        wanted = "GET" if request.method == "HEAD" else request.method
        allowed = set()
        for method, pattern, function in self.routes:
            if match := pattern.fullmatch(request.path):
                if method == wanted:
                    answer = function(request, **match.groupdict())
                    return await answer if inspect.isawaitable(answer) else answer
                allowed |= {method, "HEAD"} if method == "GET" else {method}
        if allowed:
            allow = ", ".join(sorted(allowed))
            raise Rejection(405, f"allowed here: {allow}", [("allow", allow)])
        raise Rejection(404, "there is nothing here")


def spawn(coroutine):
    """Goes on with it after the response. What it raises is in the server's log."""
    start(logged(coroutine))


async def logged(coroutine):
    try:
        await coroutine
    except Exception:
        complain("what was spawned failed")


async def sleep(seconds):
    """`asyncio.sleep` for components, whose event loop has no timers of its own."""
    if monotonic_clock:
        await monotonic_clock.wait_for(int(seconds * 1_000_000_000))
    else:
        await asyncio.sleep(seconds)


async def fetch(url, method="GET", headers=(), body=b"", timeout=None):
    """Asks another server, as `outbound.allow` permits. Gives a `Reply`, whatever its status;
    raises an `OSError` when there is none. `timeout` is in seconds, until the response begins."""
    if not monotonic_clock:
        raise OSError("only a component can fetch; in a test, put a function in its place")
    parts = urlsplit(url)
    fields = http.Fields.from_list([(name, value.encode()) for name, value in headers])
    options = http.RequestOptions()
    if timeout is not None:
        options.set_first_byte_timeout(int(timeout * 1_000_000_000))
    writer, reader = wit_world.byte_stream()
    new_trailers = (
        wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    )
    end, trailers = new_trailers(lambda: Ok(None))
    del end  # says that there are no trailers; until then the request is not whole
    request, _sent = http.Request.new(fields, reader if body else None, trailers, options)
    # The counterpart of how a request's method is read.
    known = getattr(http, f"Method_{method.capitalize()}", None)
    request.set_method(known() if known and method != "OTHER" else http.Method_Other(method))
    request.set_scheme(http.Scheme_Http() if parts.scheme == "http" else http.Scheme_Https())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    if body:
        start(send(writer, body))
    try:
        response = await client.send(request)
    except Exception as error:
        raise OSError(f"failed to fetch {url}: {getattr(error, 'value', error)}") from error
    status = response.get_status_code()
    with response.get_headers() as fields:
        headers = joined((name, value.decode("latin-1")) for name, value in fields.copy_all())
    _, done = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    stream, _trailers = http.Response.consume_body(response, done)
    received = bytearray()
    with stream:
        while not stream.writer_dropped:
            received += await stream.read(64 * 1024)
    return Reply(status, headers, bytes(received))


async def send(writer, body):
    with writer:
        await writer.write_all(body)


@dataclass
class Reply:
    """What another server answered."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)
