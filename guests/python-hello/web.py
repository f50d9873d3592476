"""Routes to functions: as much of a web framework as a handler needs.

Owner: the project; change it at will. Invariant: it imports nothing that only exists inside a
component; and a function that raises whatever, or returns what cannot be sent, fails its request
alone, not the others of the instance.
"""

import inspect
import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from host import Reply, complain, fetch, joined, pairs, sleep, spawn

__all__ = ["App", "Rejection", "Reply", "Request", "Response", "fetch", "sleep", "spawn"]


class Values(dict):
    """Values by name. Of a name that comes several times, `query["tag"]` is the last value, and
    `query.all("tag")` has them all."""

    def __init__(self, pairs=()):
        pairs = list(pairs)
        super().__init__(pairs)
        self.pairs = pairs

    def all(self, name):
        return [value for other, value in self.pairs if other == name]


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
    """Text, bytes, or what becomes JSON. Raises a `ValueError` or `TypeError` for what cannot be
    sent."""

    def __init__(self, body="", status=200, content_type=None, headers=()):
        if isinstance(body, (bytes, bytearray, memoryview)):
            self.body, known = bytes(body), "application/octet-stream"
        elif isinstance(body, str):
            self.body, known = body.encode(), "text/plain; charset=utf-8"
        else:
            # JSON has no NaN.
            self.body = json.dumps(body, allow_nan=False).encode() + b"\n"
            known = "application/json"
        self.status = status
        self.headers = [("content-type", content_type or known), *pairs(headers)]
        self.check()

    def check(self):
        """Once more when it is sent, for what was set since."""
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ValueError(f"not the status of a response: {self.status!r}")
        if not isinstance(self.body, bytes):
            raise TypeError(f"a response's body is bytes, not {type(self.body).__name__}")
        self.headers = pairs(self.headers)


class Rejection(Exception):
    """Raise it to answer with an error."""

    def __init__(self, status, detail, headers=()):
        super().__init__(detail)
        self.status = status
        self.headers = headers

    def response(self):
        problem = {"status": self.status, "detail": str(self)}
        return Response(problem, self.status, "application/problem+json", self.headers)


def failed(what, error):
    """The answer to a request that nobody else can answer. The log says why."""
    complain(what, error)
    return Rejection(500, "something went wrong").response()


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
            response = await self.answer(request)
            response.check()
            return response
        except BaseException as error:  # `sys.exit` too, which would end the instance
            return failed(f"{request.method} {request.path!r} failed", error)

    async def answer(self, request):
        try:
            answer = await self.dispatch(request)
        except Rejection as rejection:
            return rejection.response()
        if answer is None or isinstance(answer, tuple):
            # A forgotten `return`, or what other frameworks take for body and status.
            raise TypeError(f"{answer!r} is no answer; return web.Response(body, status=…)")
        return answer if isinstance(answer, Response) else Response(answer)

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
