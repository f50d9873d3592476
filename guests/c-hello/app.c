// Which request is answered by what. Nothing here knows of WebAssembly.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

static const char TEXT[] = "text/plain; charset=utf-8";

static void hello(exchange_t *exchange, const char *rest) {
  (void)rest;
  respond_with(exchange, 200, TEXT, "Hello, world!\n");
}

// Into `json`, what is percent-encoded in a path, as a string of JSON.
static void write_name(FILE *json, const char *name) {
  fputc('"', json);
  for (; *name; name++) {
    int byte = (unsigned char)*name;
    if (byte == '%' && isxdigit((unsigned char)name[1]) && isxdigit((unsigned char)name[2])) {
      byte = (int)strtol((char[]){name[1], name[2], 0}, NULL, 16);
      name += 2;
    }
    if (byte == '"' || byte == '\\') {
      fprintf(json, "\\%c", byte);
    } else if (byte < 0x20) {
      fprintf(json, "\\u%04x", byte);
    } else {
      fputc(byte, json);
    }
  }
  fputc('"', json);
}

static void greet(exchange_t *exchange, const char *name) {
  const char *greeting = getenv("GREETING");
  char *body = NULL;
  size_t length = 0;
  FILE *json = open_memstream(&body, &length);
  if (json == NULL) abort();
  fputc('{', json);
  write_name(json, greeting ? greeting : "hello");
  fputc(':', json);
  write_name(json, name);
  fputs("}\n", json);
  fclose(json);
  respond_with(exchange, 200, "application/json", body);
  free(body);
}

static void wait(exchange_t *exchange, const char *milliseconds) {
  unsigned long wanted = strtoul(milliseconds, NULL, 10);
  sleep_for(wanted);
  char body[64];
  snprintf(body, sizeof body, "slept %lu ms\n", wanted);
  respond_with(exchange, 200, TEXT, body);
}

// Sends back what comes, as it comes.
static void echo(exchange_t *exchange, const char *rest) {
  (void)rest;
  respond(exchange, 200, "application/octet-stream");
  handler_list_u8_t piece;
  bool is_wanted = true;
  while (is_wanted && read_piece(exchange, &piece)) {
    is_wanted = write_bytes(exchange, piece.ptr, piece.len);
    handler_list_u8_free(&piece);
  }
}

static const struct {
  const char *method;
  const char *path;  // with a slash at its end, of all that begin so
  void (*answer)(exchange_t *exchange, const char *rest);
} ROUTES[] = {
    {"GET", "/", hello},
    {"GET", "/hello/", greet},
    {"GET", "/sleep/", wait},
    {"POST", "/echo", echo},
};

void answer(exchange_t *exchange) {
  bool is_elsewhere = false;
  for (size_t i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++) {
    size_t length = strlen(ROUTES[i].path);
    const char *rest = exchange->path + length;
    bool is_prefix = length > 1 && ROUTES[i].path[length - 1] == '/';
    if (strncmp(exchange->path, ROUTES[i].path, length) != 0 || (*rest != 0) != is_prefix) continue;
    if (strcmp(exchange->method, ROUTES[i].method) == 0) {
      ROUTES[i].answer(exchange, rest);
      return;
    }
    is_elsewhere = true;
  }
  if (is_elsewhere) {
    respond_with(exchange, 405, TEXT, "another method, please\n");
  } else {
    respond_with(exchange, 404, TEXT, "there is nothing here\n");
  }
}
