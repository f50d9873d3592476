"""The works of the comparison as a FastAPI application, as its documentation would write them."""

from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel

import content


class Record(BaseModel):
    id: int
    name: str
    email: str
    active: bool
    score: float
    tags: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as app.state.session:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/text", response_class=PlainTextResponse)
async def text():
    return content.TEXT.decode()


@app.get("/json")
async def document() -> list[Record]:
    return [Record(**record) for record in content.document()]


@app.get("/stream")
async def stream():
    async def pieces():
        for _ in range(content.PIECES):
            yield content.piece()

    return StreamingResponse(pieces(), media_type="text/plain")


@app.post("/echo")
async def echo(request: Request):
    return Response(await request.body(), media_type="application/octet-stream")


@app.get("/burn", response_class=PlainTextResponse)
def burn(request: Request):
    # No coroutine: FastAPI runs it in its pool of threads.
    content.burn(int(request.url.query))
    return content.BURNT.decode()


@app.get("/wait", response_class=PlainTextResponse)
async def wait(request: Request):
    async with app.state.session.get(f"http://{request.url.query}/") as upstream:
        return await upstream.text()
