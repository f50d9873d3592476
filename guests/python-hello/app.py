"""The handlers: which request is answered by what.

Nothing here knows of WebAssembly, so that tests call it as it is.
"""

import os

import web

app = web.App()


@app.get("/")
async def hello(request):
    return "Hello, world!\n"


@app.get("/hello/{name}")
async def greet(request, name):
    # What the configuration grants of the environment.
    return {os.environ.get("GREETING", "hello"): name}


@app.get("/sleep/{milliseconds}")
async def sleep(request, milliseconds):
    # While this one waits, the same instance answers others.
    try:
        await web.sleep(float(milliseconds) / 1000)
    except ValueError as error:
        raise web.Rejection(400, str(error)) from error
    return f"slept {milliseconds} ms\n"


@app.post("/echo")
async def echo(request):
    return web.Response(request.body, content_type=request.headers.get("content-type"))
