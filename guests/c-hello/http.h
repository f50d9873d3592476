// A request and its response, without what the canonical ABI makes of them.
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "handler.h"

typedef struct {
  char *method;
  char *path;  // without the query
  wasi_http_types_own_incoming_body_t request_body;
  wasi_io_streams_own_input_stream_t input;
  wasi_http_types_own_response_outparam_t out;
  wasi_http_types_own_outgoing_body_t response_body;
  wasi_io_streams_own_output_stream_t output;
  bool is_broken;
} exchange_t;

// Sends the head of the response. It comes first, and once.
void respond(exchange_t *exchange, int status, const char *type);

// Sends a piece of the body. `false` when nobody wants it any more.
bool write_bytes(exchange_t *exchange, const void *bytes, size_t length);

// Head and body in one. `body` ends with a zero.
void respond_with(exchange_t *exchange, int status, const char *type, const char *body);

// The next piece of the request's body, which `handler_list_u8_free` frees. `false` at its end; when that
// came too early, the response is broken off too.
bool read_piece(exchange_t *exchange, handler_list_u8_t *piece);

// Waits.
void sleep_for(uint64_t milliseconds);

// What the application answers: in app.c.
void answer(exchange_t *exchange);

#endif
