//! Adding a core module to a component.
//!
//! Purpose: a guest may need what its compiler cannot express, such as several memories; that is
//! written as text. Invariant: the component itself stays as it is; two sections follow it, the
//! module and its instance (component-model/design/mvp/Binary.md).

use std::path::Path;

use anyhow::{Context, Result};
use wasmparser::{Parser, Payload};

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;

/// The component with the module of this file in it, instantiated.
///
/// # Errors
/// When the file is no module, or the bytes are no component.
pub(crate) fn add(mut component: Vec<u8>, file: &Path) -> Result<Vec<u8>> {
    let module = wat::parse_file(file)?;
    let index = modules(&component).context("failed to read the component")?;
    section(&mut component, CORE_MODULE, &module);
    // One instance, instantiated (0) from this module, with no arguments.
    let mut instance = vec![1, 0];
    leb128(&mut instance, index);
    instance.push(0);
    section(&mut component, CORE_INSTANCE, &instance);
    Ok(component)
}

/// Core modules of the outermost component, whose numbers begin with 0.
fn modules(component: &[u8]) -> Result<usize> {
    let (mut depth, mut modules) = (0_usize, 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } => {
                modules += usize::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(modules)
}

fn section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    leb128(component, content.len());
    component.extend_from_slice(content);
}

/// Seven bits in each byte, the lowest first.
fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
