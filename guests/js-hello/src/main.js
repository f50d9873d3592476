// Joins the handler to the server. Each request has an instance, and a `fetch` event, of its own.

import { getEnvironment } from "wasi:cli/environment@0.2.10";
import { handle } from "./handler.js";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  try {
    const response = await handle(request, Object.fromEntries(getEnvironment()));
    if (response instanceof Response) return response;
    throw new TypeError(`the handler returned ${describe(response)}, which is no Response`);
  } catch (error) {
    // Its first word is its level in the server's log.
    console.error("ERROR handler:", error);
    return new Response("something went wrong\n", { status: 500 });
  }
}

function describe(value) {
  return JSON.stringify(value) ?? String(value);
}
