"""The works of the comparison as a raw ASGI application."""

import json

import aiohttp

import content

session: aiohttp.ClientSession | None = None


async def app(scope, receive, send):
    match scope["type"]:
        case "lifespan":
            await lifespan(receive, send)
        case "http":
            await WORKS.get(scope["path"], unknown)(scope, receive, send)


async def lifespan(receive, send):
    global session
    while True:
        match (await receive())["type"]:
            case "lifespan.startup":
                session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
                await send({"type": "lifespan.startup.complete"})
            case "lifespan.shutdown":
                await session.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def answer(send, kind: bytes, body: bytes, status: int = 200):
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def begin(send, kind: bytes):
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
    await send(start)


async def text(scope, receive, send):
    await answer(send, b"text/plain", content.TEXT)


async def document(scope, receive, send):
    body = json.dumps(content.document(), separators=(",", ":")).encode()
    await answer(send, b"application/json", body)


async def stream(scope, receive, send):
    await begin(send, b"text/plain")
    for _ in range(content.PIECES):
        await send({"type": "http.response.body", "body": content.piece(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def echo(scope, receive, send):
    await begin(send, b"application/octet-stream")
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        body = message.get("body", b"")
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def burn(scope, receive, send):
    # On the event loop: threads are nothing that ASGI brings along.
    content.burn(int(scope["query_string"]))
    await answer(send, b"text/plain", content.BURNT)


async def wait(scope, receive, send):
    async with session.get(f"http://{scope['query_string'].decode()}/") as upstream:
        await answer(send, b"text/plain", await upstream.read())


async def unknown(scope, receive, send):
    await answer(send, b"text/plain", b"there is no such work\n", 404)


WORKS = {
    "/text": text,
    "/json": document,
    "/stream": stream,
    "/echo": echo,
    "/burn": burn,
    "/wait": wait,
}
