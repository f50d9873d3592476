//! What Remuda does, seen from outside: real processes, real sockets, real guests.
//!
//! A module for each behaviour. `cargo xtask test` builds what they need.

mod admin;
mod admission;
mod blame;
mod bodies;
mod command_line;
mod components;
mod configuration;
mod connections;
mod deadlines;
mod drain;
mod errors;
mod executors;
mod faults;
mod forwarded;
mod framing;
mod guests;
mod heartbeat;
mod http2;
mod instances;
mod isolation;
mod keep_alive;
mod leaks;
mod lifecycle;
mod load;
mod logs;
mod offload;
mod outgoing;
mod overload;
mod pid1;
mod processes;
mod protocol;
mod proxy_protocol;
mod recycling;
mod reload;
mod responses;
mod routes;
mod scaling;
mod sizing;
mod sockets;
mod survival;
mod systemd;
mod tls;
mod upgrade;
mod warm;
