"""`python3 -m unittest`: the handlers without a server and without WebAssembly."""

import asyncio
import contextlib
import io
import json
import unittest

from app import app
from web import App, Rejection, Request, Response, spawn


def ask(method, target, body=b""):
    return asyncio.run(app(Request.of(method, target, body=body)))


def answer_of(function):
    """What a handler is answered with, and what it leaves in the log."""
    handlers = App()
    handlers.get("/")(function)
    with contextlib.redirect_stderr(io.StringIO()) as log:
        return asyncio.run(handlers(Request.of("GET", "/"))), log.getvalue()


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

    def test_other_methods(self):
        self.assertEqual(ask("HEAD", "/").status, 200)
        self.assertIn(("allow", "POST"), ask("HEAD", "/echo").headers)
        self.assertIn(("allow", "GET, HEAD"), ask("POST", "/").headers)

    def test_what_is_no_time(self):
        for time in ["-1", "abc", "nan", "99999999999999999999"]:
            self.assertEqual(ask("GET", f"/sleep/{time}").status, 400)

    def test_headers_of_a_dict(self):
        self.assertIn(("x-a", "b"), Response("x", headers={"x-a": "b"}).headers)

    def test_what_fails(self):
        async def fail(request):
            raise ValueError("as it must")

        async def return_an_object(request):
            return {"x": object()}

        async def split_the_head(request):
            return Response("x", headers=[("x-a", "b\r\nset-cookie: x")])

        async def split_the_head_of_a_rejection(request):
            raise Rejection(401, "x", {"www-authenticate": "a\r\nb"})

        async def forget_to_return(request):
            pass

        async def return_no_number(request):
            return {"x": float("nan")}

        async def return_no_status(request):
            return Response("x", status="200")

        async def set_the_body(request):
            (response := Response()).body = "text"
            return response

        async def leave(request):
            raise SystemExit("leaving")

        for function, why in [
            (fail, "ValueError: as it must"),
            (return_an_object, "not JSON serializable"),
            (split_the_head, "not a header"),
            (split_the_head_of_a_rejection, "not a header"),
            (forget_to_return, "is no answer"),
            (return_no_number, "not JSON compliant"),
            (return_no_status, "not the status"),
            (set_the_body, "is bytes, not str"),
            (leave, "SystemExit: leaving"),
        ]:
            response, log = answer_of(function)
            self.assertEqual(response.status, 500)
            self.assertEqual(json.loads(response.body)["detail"], "something went wrong")
            self.assertIn(why, log.splitlines()[0])
            self.assertTrue(all(line.startswith("ERROR ") for line in log.splitlines()))

    def test_what_fails_after_the_response(self):
        async def work():
            raise ValueError("as it must")

        async def fail_later(request):
            spawn(work())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "fine"

        response, log = answer_of(fail_later)
        self.assertEqual((response.body, "as it must" in log), (b"fine", True))


class Requests(unittest.TestCase):
    def test_a_query(self):
        query = Request.of("GET", "/?tag=a&tag=b&q=").query
        self.assertEqual((query["tag"], query["q"]), ("b", ""))
        self.assertEqual((query.all("tag"), query.all("none")), (["a", "b"], []))

    def test_headers(self):
        headers = [("Accept", "a/b"), ("accept", "c/d"), ("Cookie", "a=1"), ("cookie", "b=2")]
        headers = Request.of("GET", "/", headers).headers
        self.assertEqual(headers, {"accept": "a/b, c/d", "cookie": "a=1; b=2"})


if __name__ == "__main__":
    unittest.main()
