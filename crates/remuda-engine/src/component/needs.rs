//! What a component declares, read from its bytes without compiling them.
//!
//! Purpose: add up what all core modules of one instance need at their start, through nested
//! components and instances of the same module. Invariant: what cannot be known from the bytes
//! alone (a module that comes in as an argument) counts as nothing; a probe at boot finds it.

use remuda_config::Needs;
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Instance, MemoryType, Parser, Payload, TableType,
};

/// A page where a memory says nothing else.
const PAGE_BITS: u32 = 16;

/// A component or module that is being read.
#[derive(Default)]
struct Scope {
    /// What one instance of it needs.
    needs: Needs,
    /// What it can instantiate, by index.
    modules: Vec<Needs>,
    components: Vec<Needs>,
    is_module: bool,
}

/// What one instance of the component in `bytes` needs.
///
/// # Errors
/// When the bytes are damaged.
pub(super) fn read(bytes: &[u8]) -> Result<Needs, BinaryReaderError> {
    let mut scopes: Vec<Scope> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::Version { encoding, .. } = payload {
            let is_module = encoding == wasmparser::Encoding::Module;
            let mut scope = Scope { is_module, ..Scope::default() };
            scope.needs.core_instances = u32::from(is_module);
            scopes.push(scope);
        } else if let Payload::End(_) = payload {
            let Some(ended) = scopes.pop() else { continue };
            let Some(outer) = scopes.last_mut() else { return Ok(ended.needs) };
            let kind = if ended.is_module { &mut outer.modules } else { &mut outer.components };
            kind.push(ended.needs);
        } else {
            read_section(payload, &mut scopes)?;
        }
    }
    Ok(Needs::default())
}

fn read_section(payload: Payload<'_>, scopes: &mut [Scope]) -> Result<(), BinaryReaderError> {
    let Some((scope, outer)) = scopes.split_last_mut() else { return Ok(()) };
    match payload {
        Payload::MemorySection(section) => {
            for memory in section {
                scope.needs.add(&of_memory(&memory?));
            }
        }
        Payload::TableSection(section) => {
            for table in section {
                scope.needs.add(&of_table(&table?.ty));
            }
        }
        Payload::InstanceSection(section) => {
            for instance in section {
                if let Instance::Instantiate { module_index, .. } = instance? {
                    let needs = scope.modules.get(module_index as usize).copied();
                    scope.needs.add(&needs.unwrap_or_default());
                }
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section {
                if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                    let needs = scope.components.get(component_index as usize).copied();
                    scope.needs.add(&needs.unwrap_or_default());
                }
            }
        }
        Payload::ComponentAliasSection(section) => {
            for alias in section {
                match alias? {
                    ComponentAlias::Outer { kind, count, index } => {
                        // None is the scope itself, one the scope around it.
                        let from = (count as usize).checked_sub(1);
                        let from = from.and_then(|up| outer.iter().rev().nth(up));
                        scope.alias(from, kind, index as usize);
                    }
                    ComponentAlias::InstanceExport { kind, .. } => scope.unknown(kind),
                    ComponentAlias::CoreInstanceExport { .. } => {}
                }
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section {
                match import?.ty {
                    ComponentTypeRef::Module(_) => scope.unknown(ComponentExternalKind::Module),
                    ComponentTypeRef::Component(_) => {
                        scope.unknown(ComponentExternalKind::Component);
                    }
                    _ => {}
                }
            }
        }
        Payload::ComponentExportSection(section) => {
            // What is exported gets another index.
            for export in section {
                let export = export?;
                let index = export.index as usize;
                match export.kind {
                    ComponentExternalKind::Module => repeat(&mut scope.modules, index),
                    ComponentExternalKind::Component => repeat(&mut scope.components, index),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

impl Scope {
    fn alias(&mut self, from: Option<&Self>, kind: ComponentOuterAliasKind, index: usize) {
        let (theirs, ours) = match kind {
            ComponentOuterAliasKind::CoreModule => {
                (from.map(|from| &from.modules), &mut self.modules)
            }
            ComponentOuterAliasKind::Component => {
                (from.map(|from| &from.components), &mut self.components)
            }
            _ => return,
        };
        let needs = theirs.and_then(|theirs| theirs.get(index)).copied();
        ours.push(needs.unwrap_or_default());
    }

    fn unknown(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(Needs::default()),
            ComponentExternalKind::Component => self.components.push(Needs::default()),
            _ => {}
        }
    }
}

fn repeat(items: &mut Vec<Needs>, index: usize) {
    let item = items.get(index).copied();
    items.push(item.unwrap_or_default());
}

fn of_memory(memory: &MemoryType) -> Needs {
    let page_bits = memory.page_size_log2.unwrap_or(PAGE_BITS);
    let bytes = memory.initial.saturating_mul(1 << page_bits.min(PAGE_BITS));
    Needs { memories: 1, memory_bytes: bytes, largest_memory: bytes, ..Needs::default() }
}

fn of_table(table: &TableType) -> Needs {
    let elements = table.initial;
    Needs { tables: 1, table_elements: elements, largest_table: elements, ..Needs::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> Needs {
        read(&wat::parse_str(text).expect("valid text")).expect("a component")
    }

    #[test]
    fn every_instance_of_a_module_counts() {
        let needs = needs(
            "(component
               (core module $m (memory 1) (memory 6) (table 100 funcref) (table 20 funcref))
               (core module $never (memory 1000))
               (core instance (instantiate $m))
               (core instance (instantiate $m)))",
        );
        assert_eq!((needs.core_instances, needs.memories, needs.tables), (2, 4, 4));
        assert_eq!((needs.memory_bytes, needs.largest_memory), (14 << 16, 6 << 16));
        assert_eq!((needs.table_elements, needs.largest_table), (240, 100));
        assert_eq!(needs.bytes(), (14 << 16) + 240 * 8);
    }

    #[test]
    fn so_do_nested_components_and_modules_of_outer_ones() {
        let needs = needs(
            "(component $outer
               (core module $m (memory 2))
               (component $inner
                 (alias outer $outer $m (core module $theirs))
                 (core instance (instantiate $theirs))
                 (component $innermost
                   (core module $own (memory 3))
                   (core instance (instantiate $own)))
                 (instance (instantiate $innermost)))
               (instance (instantiate $inner))
               (instance (instantiate $inner)))",
        );
        assert_eq!((needs.core_instances, needs.memories), (4, 4));
        assert_eq!(needs.memory_bytes, 10 << 16);
    }

    #[test]
    fn imported_memories_are_somebody_elses() {
        let needs = needs(
            "(component
               (core module $a (memory (export \"m\") 5))
               (core instance $a (instantiate $a))
               (core module $b (import \"a\" \"m\" (memory 5)))
               (core instance (instantiate $b (with \"a\" (instance $a)))))",
        );
        assert_eq!((needs.core_instances, needs.memories), (2, 1));
    }

    #[test]
    fn what_comes_in_as_an_argument_is_not_known() {
        let needs = needs(
            "(component
               (component $inner
                 (import \"m\" (core module $m))
                 (core instance (instantiate $m)))
               (core module $given (memory 9))
               (instance (instantiate $inner (with \"m\" (core module $given)))))",
        );
        assert_eq!(needs, Needs::default());
    }
}
