//! What a component imports and exports, read from its bytes without compiling them.
//!
//! Purpose: decide from the exports alone how a component is run, and say clearly why
//! one cannot be. Invariant: only the outermost component counts; names inside nested
//! components are their own business.

use std::fmt;

use wasmparser::{Encoding, Parser, Payload};

const HANDLER_02: &str = "wasi:http/incoming-handler@0.2.";
const HANDLER_03: &str = "wasi:http/handler@0.3.";

/// The export through which a component takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerWorld {
    /// `wasi:http/incoming-handler@0.2.x`: one request at a time per instance.
    Http02,
    /// `wasi:http/handler@0.3.x`: concurrent requests in one instance.
    Http03,
}

impl fmt::Display for HandlerWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http02 => "wasi:http/incoming-handler@0.2",
            Self::Http03 => "wasi:http/handler@0.3",
        })
    }
}

/// The outer face of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces {
    pub handler: HandlerWorld,
    /// Full names, such as `wasi:clocks/wall-clock@0.2.6`.
    pub imports: Vec<String>,
    /// Full names of all exports, the handler among them.
    pub exports: Vec<String>,
}

/// Why a file cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is not a WebAssembly binary")]
    NotWasm,
    #[error(
        "it is a core module, not a component; build it for the target wasm32-wasip2, \
         or turn it into a component first"
    )]
    CoreModule,
    #[error("it is damaged: {0}")]
    Malformed(String),
    #[error(
        "it exports {}, but neither wasi:http/incoming-handler@0.2.x nor wasi:http/handler@0.3.x, \
         one of which a component must export to be served",
        list(.exports)
    )]
    NoHandler { exports: Vec<String> },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

impl Interfaces {
    /// Reads the outer face of the component in `bytes`.
    ///
    /// # Errors
    /// When `bytes` is no component, or one that takes no requests.
    pub fn read(bytes: &[u8]) -> Result<Self, Unusable> {
        if !bytes.starts_with(b"\0asm") {
            return Err(Unusable::NotWasm);
        }
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(Unusable::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        imports.push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        exports.push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        let exported = |prefix| exports.iter().any(|name: &String| name.starts_with(prefix));
        let handler = if exported(HANDLER_03) {
            HandlerWorld::Http03
        } else if exported(HANDLER_02) {
            HandlerWorld::Http02
        } else {
            return Err(Unusable::NoHandler { exports });
        };
        Ok(Self { handler, imports, exports })
    }

    /// Whether the component uses the asynchronous component model, and therefore
    /// needs an engine with concurrency.
    #[must_use]
    pub fn is_concurrent(&self) -> bool {
        let mut names = self.imports.iter().chain(&self.exports);
        self.handler == HandlerWorld::Http03 || names.any(|name| name.contains("@0.3."))
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> Unusable {
    Unusable::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_wasm() {
        assert_eq!(Interfaces::read(b"(component)"), Err(Unusable::NotWasm));
        assert_eq!(Interfaces::read(b""), Err(Unusable::NotWasm));
    }

    #[test]
    fn a_core_module_is_named_as_such() {
        assert_eq!(Interfaces::read(b"\0asm\x01\0\0\0"), Err(Unusable::CoreModule));
    }

    #[test]
    fn an_empty_component_exports_nothing() {
        let unusable = Interfaces::read(b"\0asm\x0d\0\x01\0").expect_err("no handler");
        assert_eq!(unusable, Unusable::NoHandler { exports: Vec::new() });
        assert!(unusable.to_string().starts_with("it exports nothing, but neither"));
    }

    #[test]
    fn a_truncated_component_is_damaged() {
        let bytes = b"\0asm\x0d\0\x01\0\x0b\x7f";
        assert!(matches!(Interfaces::read(bytes), Err(Unusable::Malformed(_))));
    }
}
