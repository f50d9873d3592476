// Joins the handler to the server. Each request has an instance, and a `fetch` event, of its own.
// What fails is in the server's log, and no response that looks whole is less.

import "./log.js";
import "./guard.js";
import { getEnvironment } from "wasi:cli/environment@0.2.10";
import { handle } from "./handler.js";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  try {
    const response = await handle(request, Object.fromEntries(getEnvironment()));
    if (!(response instanceof Response)) {
      throw new TypeError(`the handler returned ${describe(response)}, which is no Response`);
    }
    if (response.bodyUsed) {
      throw new TypeError("the handler returned a Response whose body was read already");
    }
    return response;
  } catch (error) {
    console.error("handler:", error);
    return new Response("something went wrong\n", { status: 500 });
  }
}

function describe(value) {
  return JSON.stringify(value) ?? String(value);
}
