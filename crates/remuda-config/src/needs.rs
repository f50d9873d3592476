//! What a component needs before it does anything, and whether it gets that.
//!
//! Pure. Owner: whoever compiles a component says what it needs; supervisor and `remuda check`
//! ask [`Needs::fit`] before any worker starts. Invariant: whatever is refused here names the
//! key that would admit it, if there is one.

use serde::{Deserialize, Serialize};

use crate::{Config, GuestBudget, INSTANCE_BYTES, Route, value::about_bytes};

/// Bytes of one table element in the host: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Address space of one memory, and so the most that it can ever be.
const LARGEST_MEMORY: u64 = 4 << 30;

/// What one instance of a component declares: its memories and tables at their smallest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Core instances that one instance is made of.
    pub core_instances: u32,
    pub memories: u32,
    /// Bytes of all memories together.
    pub memory_bytes: u64,
    /// Bytes of the largest one.
    pub largest_memory: u64,
    pub tables: u32,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Elements of the largest one.
    pub largest_table: u64,
}

/// Why a component cannot be served under a route's limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "cannot serve {component} at {route}: one of its memories needs {}, and no memory can \
         have more than {}",
        about_bytes(*.needed),
        about_bytes(LARGEST_MEMORY)
    )]
    Memory { component: String, route: String, needed: u64 },
    #[error(
        "cannot serve {component} at {route}: an instance needs {} from its start ({what}), and \
         limits.memory is {}; raise limits.memory",
        about_bytes(*.needed),
        about_bytes(*.limit)
    )]
    Limit { component: String, route: String, needed: u64, limit: u64, what: String },
    #[error(
        "cannot serve {component} at {route}: an instance needs {} from its start ({what}), and \
         the guests of its route have {} together, of workers.memory {}; raise workers.memory",
        about_bytes(*.needed),
        about_bytes(*.guests),
        about_bytes(*.memory)
    )]
    Worker { component: String, route: String, needed: u64, guests: u64, memory: u64, what: String },
    #[error(
        "cannot keep {count} instances of {component} ready at {route}: they need {} together from \
         their start, and the guests of their route have {}, of workers.memory {}; lower \
         instances.min_idle, or raise workers.memory",
        about_bytes(*.needed),
        about_bytes(*.guests),
        about_bytes(*.memory)
    )]
    Floor { component: String, route: String, count: usize, needed: u64, guests: u64, memory: u64 },
}

impl Needs {
    /// Bytes of all memories and tables together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.memory_bytes.saturating_add(self.table_elements.saturating_mul(TABLE_ELEMENT_BYTES))
    }

    /// Adds what else belongs to the same instance.
    pub fn add(&mut self, other: &Self) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.largest_memory = self.largest_memory.max(other.largest_memory);
        self.tables = self.tables.saturating_add(other.tables);
        self.table_elements = self.table_elements.saturating_add(other.table_elements);
        self.largest_table = self.largest_table.max(other.largest_table);
    }

    /// Whether an instance gets what it needs at this route of this configuration.
    ///
    /// # Errors
    /// When it does not.
    pub fn fit(&self, config: &Config, route: &Route) -> Result<(), Unfit> {
        let component = route.component.display().to_string();
        let name = route.name();
        let (needed, limit, memory) = (self.bytes(), route.limits.memory, config.workers.memory);
        let guests = GuestBudget::of(memory, 1).share_of_route(config.routes.len());
        let each = needed.saturating_add(INSTANCE_BYTES);
        let count = route.readiness.min_idle.unwrap_or_default();
        let floor = each.saturating_mul(count as u64);
        if self.largest_memory > LARGEST_MEMORY {
            Err(Unfit::Memory { component, route: name, needed: self.largest_memory })
        } else if needed > limit {
            Err(Unfit::Limit { component, route: name, needed, limit, what: self.described() })
        } else if each > guests {
            let what = self.described();
            Err(Unfit::Worker { component, route: name, needed, guests, memory, what })
        } else if floor > guests {
            Err(Unfit::Floor { component, route: name, count, needed: floor, guests, memory })
        } else {
            Ok(())
        }
    }

    /// `5 memories with 24.2MiB, 5 tables with 2000050 elements`
    fn described(&self) -> String {
        let count = |count: u32, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        format!(
            "{} with {}, {} with {} elements",
            count(self.memories, "memory", "memories"),
            about_bytes(self.memory_bytes),
            count(self.tables, "table", "tables"),
            self.table_elements
        )
    }
}
