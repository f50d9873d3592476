"""Routes to functions: as much of a web framework as a handler needs.

Owner: the project; change it at will. Invariant: it imports nothing that only exists inside a
component, but for what `sleep` and `spawn` do there; and a function that raises fails its request
alone, not the others of the instance.
"""

import asyncio
import inspect
import json
import re
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

try:
    from componentize_py_async_support import spawn
    from wit_world.imports import monotonic_clock
except ImportError:  # a test
    monotonic_clock = None

    def spawn(coroutine):
        """Goes on with it after the response."""
        tasks.add(task := asyncio.ensure_future(coroutine))
        task.add_done_callback(tasks.discard)

    tasks = set()


@dataclass
class Request:
    method: str
    path: str
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, method, target, headers=(), body=b""):
        """A request for `/path?query`; of header names only the lower case counts."""
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in headers}
        return cls(method, unquote(path), dict(parse_qsl(query)), headers, body)

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


class Rejection(Exception):
    """Raise it to answer with an error."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status = status

    def response(self):
        problem = {"status": self.status, "detail": str(self)}
        return Response(problem, self.status, "application/problem+json")


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
        except Rejection as rejection:
            return rejection.response()
        except Exception:
            traceback.print_exc()  # into the server's log
            return Rejection(500, "something went wrong").response()
        return answer if isinstance(answer, Response) else Response(answer)

    async def dispatch(self, request):
        allowed = []
        for method, pattern, function in self.routes:
            if match := pattern.fullmatch(request.path):
                if method == request.method:
                    answer = function(request, **match.groupdict())
                    return await answer if inspect.isawaitable(answer) else answer
                allowed.append(method)
        if allowed:
            raise Rejection(405, f"allowed here: {', '.join(sorted(set(allowed)))}")
        raise Rejection(404, "there is nothing here")


async def sleep(seconds):
    """`asyncio.sleep` for components, whose event loop has no timers of its own."""
    if monotonic_clock:
        await monotonic_clock.wait_for(int(seconds * 1_000_000_000))
    else:
        await asyncio.sleep(seconds)
