"""`python3 -m unittest`: the handlers without a server and without WebAssembly."""

import asyncio
import contextlib
import io
import json
import unittest

from app import app
from web import App, Request


def ask(method, target, body=b""):
    return asyncio.run(app(Request.of(method, target, body=body)))


class Answers(unittest.TestCase):
    def test_hello(self):
        self.assertEqual(ask("GET", "/").body, b"Hello, world!\n")

    def test_a_name_of_the_path(self):
        self.assertEqual(json.loads(ask("GET", "/hello/J%C3%B8rn").body), {"hello": "Jørn"})

    def test_a_body(self):
        self.assertEqual(ask("POST", "/echo", b"ping").body, b"ping")

    def test_what_is_not_there(self):
        self.assertEqual(ask("GET", "/nowhere").status, 404)
        self.assertEqual(ask("GET", "/echo").status, 405)

    def test_what_fails(self):
        async def fail(request):
            raise ValueError("as it must")

        failing = App()
        failing.get("/")(fail)
        with contextlib.redirect_stderr(io.StringIO()) as log:
            self.assertEqual(asyncio.run(failing(Request.of("GET", "/"))).status, 500)
        self.assertIn("as it must", log.getvalue())


if __name__ == "__main__":
    unittest.main()
