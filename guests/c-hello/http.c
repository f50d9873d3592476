// Between the application and the bindings of wasi:http 0.2, which wit-bindgen makes of wit/.
//
// Resources are dropped in the order in which they came from each other, the last one first.
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What may be written at a time and waited for.
static const size_t MOST = 4096;

static handler_string_t string(const char *text) {
  return (handler_string_t){(uint8_t *)text, strlen(text)};
}

// A copy that ends with a zero, in place of one with a length.
static char *take(handler_string_t *text) {
  char *copy = malloc(text->len + 1);
  if (copy == NULL) abort();
  memcpy(copy, text->ptr, text->len);
  copy[text->len] = 0;
  handler_string_free(text);
  return copy;
}

static char *method_of(wasi_http_types_borrow_incoming_request_t request) {
  // In the order of the cases in wit/.
  static const char *const NAMES[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  wasi_http_types_method_t method;
  wasi_http_types_method_incoming_request_method(request, &method);
  if (method.tag == WASI_HTTP_TYPES_METHOD_OTHER) return take(&method.val.other);
  return strdup(NAMES[method.tag]);
}

static char *path_of(wasi_http_types_borrow_incoming_request_t request) {
  handler_string_t target;
  if (!wasi_http_types_method_incoming_request_path_with_query(request, &target)) return strdup("/");
  char *path = take(&target);
  path[strcspn(path, "?")] = 0;
  return path;
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
  wasi_http_types_borrow_incoming_request_t borrowed = wasi_http_types_borrow_incoming_request(request);
  exchange_t exchange = {.out = out, .method = method_of(borrowed), .path = path_of(borrowed)};
  if (!wasi_http_types_method_incoming_request_consume(borrowed, &exchange.request_body) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(exchange.request_body),
                                                   &exchange.input))
    abort();

  answer(&exchange);

  wasi_io_streams_output_stream_drop_own(exchange.output);
  if (exchange.is_broken) {
    // Without its end, a response does not pass for a whole one.
    wasi_http_types_outgoing_body_drop_own(exchange.response_body);
  } else {
    wasi_http_types_error_code_t error;
    if (!wasi_http_types_static_outgoing_body_finish(exchange.response_body, NULL, &error))
      wasi_http_types_error_code_free(&error);
  }
  wasi_io_streams_input_stream_drop_own(exchange.input);
  wasi_http_types_incoming_body_drop_own(exchange.request_body);
  wasi_http_types_incoming_request_drop_own(request);
  free(exchange.method);
  free(exchange.path);
}

void respond(exchange_t *exchange, int status, const char *type) {
  wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  handler_string_t name = string("content-type");
  wasi_http_types_field_value_t value = {(uint8_t *)type, strlen(type)};
  wasi_http_types_header_error_t error;
  if (!wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &name, &value, &error)) abort();

  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(fields);
  wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
  if (!wasi_http_types_method_outgoing_response_set_status_code(borrowed, status) ||
      !wasi_http_types_method_outgoing_response_body(borrowed, &exchange->response_body) ||
      !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(exchange->response_body),
                                                  &exchange->output))
    abort();
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
  wasi_http_types_static_response_outparam_set(exchange->out, &result);
}

bool write_bytes(exchange_t *exchange, const void *bytes, size_t length) {
  wasi_io_streams_borrow_output_stream_t output = wasi_io_streams_borrow_output_stream(exchange->output);
  for (const uint8_t *rest = bytes; length > 0;) {
    handler_list_u8_t piece = {(uint8_t *)rest, length < MOST ? length : MOST};
    wasi_io_streams_stream_error_t error;
    if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(output, &piece, &error)) {
      wasi_io_streams_stream_error_free(&error);
      exchange->is_broken = true;
      return false;
    }
    rest += piece.len;
    length -= piece.len;
  }
  return true;
}

void respond_with(exchange_t *exchange, int status, const char *type, const char *body) {
  respond(exchange, status, type);
  write_bytes(exchange, body, strlen(body));
}

bool read_piece(exchange_t *exchange, handler_list_u8_t *piece) {
  wasi_io_streams_borrow_input_stream_t input = wasi_io_streams_borrow_input_stream(exchange->input);
  wasi_io_streams_stream_error_t error;
  if (wasi_io_streams_method_input_stream_blocking_read(input, 64 * 1024, piece, &error)) return true;
  if (error.tag != WASI_IO_STREAMS_STREAM_ERROR_CLOSED) {
    fputs("the body of the request broke off\n", stderr);
    exchange->is_broken = true;
  }
  wasi_io_streams_stream_error_free(&error);
  return false;
}

void sleep_for(uint64_t milliseconds) {
  wasi_io_poll_own_pollable_t timer = wasi_clocks_monotonic_clock_subscribe_duration(milliseconds * 1000000);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(timer));
  wasi_io_poll_pollable_drop_own(timer);
}
