//! How wasmtime is set up.
//!
//! Purpose: one place for every engine option, with its reason. Owner: [`crate::Engine`]
//! at run time and `compile` in its child process. Invariant: what decides about the
//! generated code is the same in both, so that an artifact always loads.

use std::path::Path;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{capacity::Capacity, component::Interfaces};

/// Which of the two wasmtime engines a component runs in.
///
/// A store that supports concurrent guest tasks pays for them on every call. Most 0.2
/// components never use them, so they get an engine without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// One guest task per store: 0.2 components.
    Sequential,
    /// Many guest tasks per store: whatever uses the asynchronous component model.
    Concurrent,
}

impl EngineKind {
    pub(crate) fn of(interfaces: &Interfaces) -> Self {
        if interfaces.is_concurrent() { Self::Concurrent } else { Self::Sequential }
    }

    /// The end of the names of this engine's artifacts.
    pub(crate) fn artifact_suffix(self) -> &'static str {
        match self {
            Self::Sequential => ".sequential.cwasm",
            Self::Concurrent => ".concurrent.cwasm",
        }
    }

    /// The engine that compiled the artifact at `path`, by its name.
    pub(crate) fn of_artifact(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let suffix = |kind: &Self| name.ends_with(kind.artifact_suffix());
        [Self::Sequential, Self::Concurrent].into_iter().find(suffix)
    }
}

/// Bytes of what wasmtime itself keeps of one core instance, and of all that make up an
/// instance: a pointer or three for each function that is imported or called through a table.
/// Python's interpreter has 30,000 of those. They are allocated as needed.
const CORE_INSTANCE_BYTES: usize = 16 << 20;
const INSTANCE_BYTES: usize = 64 << 20;

/// Address space of one memory; 4 GiB lets wasmtime drop bounds checks. How much of it
/// a guest may use is the limiter's decision.
const MEMORY_SLOT_BYTES: usize = 4 << 30;

/// Native stack of a guest call, and the part of it that wasm itself may use.
const ASYNC_STACK_BYTES: usize = 1 << 20;
const WASM_STACK_BYTES: usize = 512 << 10;

/// The options that decide about generated code.
fn code(kind: EngineKind) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    match kind {
        EngineKind::Sequential => {
            config.concurrency_support(false);
        }
        EngineKind::Concurrent => {
            config.concurrency_support(true);
            config.wasm_component_model_async(true);
            config.wasm_component_model_async_stackful(true);
            config.wasm_component_model_more_async_builtins(true);
        }
    }
    config
}

/// Settings of an engine that only compiles.
pub(crate) fn compiling(kind: EngineKind) -> Config {
    let mut config = code(kind);
    config.async_stack_size(ASYNC_STACK_BYTES).max_wasm_stack(WASM_STACK_BYTES);
    config
}

/// Settings of an engine that serves `capacity` instances.
pub(crate) fn serving(kind: EngineKind, capacity: Capacity) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let Capacity { instances, memories, tables, .. } = capacity;
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let kept = bytes(capacity.kept);
    pool.total_component_instances(instances)
        // They are only counted, and an instance has as many as its component says.
        .total_core_instances(u32::MAX)
        .max_core_instance_size(CORE_INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .total_memories(memories)
        .total_tables(tables)
        .total_stacks(instances.saturating_mul(2))
        .max_memory_size(MEMORY_SLOT_BYTES)
        .max_memories_per_module(memories)
        .max_tables_per_module(tables)
        .table_elements(bytes(capacity.table_elements))
        // What was used is zeroed by hand and kept between two instances, instead of being
        // given back to the kernel: a page fault per page and request costs more than the
        // copy. Most of it is in the memories.
        .linear_memory_keep_resident(kept / 4 * 3)
        .table_keep_resident(kept / 8)
        .async_stack_keep_resident(kept / 8)
        .pagemap_scan(Enabled::Auto);
    let mut config = compiling(kind);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
