// `npm test`: the handler without a server and without WebAssembly.

import assert from "node:assert/strict";
import test from "node:test";
import { handle } from "../src/handler.js";

const ask = (method, path, body) =>
  handle(new Request(`http://localhost${path}`, { method, body }));

test("hello", async () => {
  assert.equal(await (await ask("GET", "/")).text(), "Hello, world!\n");
});

test("a name of the path", async () => {
  assert.deepEqual(await (await ask("GET", "/hello/J%C3%B8rn")).json(), { hello: "Jørn" });
});

test("a body", async () => {
  assert.equal(await (await ask("POST", "/echo", "ping")).text(), "ping");
});

test("what is not there", async () => {
  assert.equal((await ask("GET", "/nowhere")).status, 404);
  assert.equal((await ask("GET", "/echo")).status, 405);
});

test("other methods", async () => {
  assert.equal((await ask("HEAD", "/")).status, 200);
  assert.equal((await ask("HEAD", "/echo")).headers.get("allow"), "POST");
  assert.equal((await ask("POST", "/")).headers.get("allow"), "GET, HEAD");
});

test("what makes no sense", async () => {
  assert.equal((await ask("GET", "/hello/%zz")).status, 400);
  assert.equal((await ask("GET", "/sleep/abc")).status, 400);
});
