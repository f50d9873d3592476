//! How large the pools of an engine are.
//!
//! Purpose: room for what the served components declare, and for no more, because every slot
//! reserves address space. An artifact's name has the shape of its component, so that a worker
//! knows it before it loads anything. Pure.

use std::path::{Path, PathBuf};

use remuda_config::Needs;

use crate::settings::EngineKind;

/// Memories for which address space is reserved at most, 4 GiB and a guard for each; twice as
/// many, for two engines, fit into the 128 TiB that a process has. What comes beyond is shed.
const MAX_MEMORIES: u32 = 10_000;

/// Elements for which a table has room at least: an ordinary guest has a few hundred functions
/// and may add some.
const LEAST_TABLE: u64 = 64 << 10;

/// What one instance takes out of the pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    memories: u32,
    tables: u32,
    /// Elements of the largest table.
    table_elements: u64,
}

/// What an engine has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) instances: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    /// Elements of each table.
    pub(crate) table_elements: u64,
    /// Bytes of each instance that stay resident when it is gone.
    pub(crate) kept: u64,
}

impl Shape {
    pub(crate) fn of(needs: &Needs) -> Self {
        let Needs { memories, tables, largest_table, .. } = *needs;
        Self { memories, tables, table_elements: largest_table }
    }

    /// As it is written in an artifact's name.
    pub(crate) fn suffix(self) -> String {
        format!(".{}-{}-{}", self.memories, self.tables, self.table_elements)
    }

    fn of_artifact(path: &Path) -> Option<Self> {
        let mut parts = path.file_name()?.to_str()?.split('.').nth(1)?.split('-');
        let mut next = || parts.next()?.parse::<u64>().ok();
        let (memories, tables, table_elements) = (next()?, next()?, next()?);
        let count = |number| u32::try_from(number).ok();
        Some(Self { memories: count(memories)?, tables: count(tables)?, table_elements })
    }

    fn max(self, other: Self) -> Self {
        Self {
            memories: self.memories.max(other.memories),
            tables: self.tables.max(other.tables),
            table_elements: self.table_elements.max(other.table_elements),
        }
    }
}

impl Capacity {
    /// Room for `wanted` instances of any of those artifacts that this kind of engine runs;
    /// `None` if there is none.
    pub(crate) fn of(artifacts: &[PathBuf], kind: EngineKind, wanted: u32) -> Option<Self> {
        let ours = artifacts.iter().filter(|path| EngineKind::of_artifact(path) == Some(kind));
        let shapes = ours.map(|path| Shape::of_artifact(path).unwrap_or_default());
        Some(Self::for_shape(shapes.reduce(Shape::max)?, wanted))
    }

    /// Room for one instance of a component that needs so much.
    pub(crate) fn for_one(needs: &Needs) -> Self {
        Self::for_shape(Shape::of(needs), 1)
    }

    fn for_shape(shape: Shape, wanted: u32) -> Self {
        let memories = shape.memories.max(1);
        let instances = wanted.min(MAX_MEMORIES / memories).max(1);
        Self {
            instances,
            memories: instances.saturating_mul(memories),
            tables: instances.saturating_mul(shape.tables.max(1)),
            table_elements: shape.table_elements.max(LEAST_TABLE),
            kept: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new("/cache").join(name)
    }

    #[test]
    fn a_name_has_the_shape_of_its_component() {
        let needs = Needs { memories: 5, tables: 3, largest_table: 2_000_000, ..Needs::default() };
        let name = format!("abc{}.sequential.cwasm", Shape::of(&needs).suffix());
        assert_eq!(name, "abc.5-3-2000000.sequential.cwasm");
        assert_eq!(Shape::of_artifact(&path(&name)), Some(Shape::of(&needs)));
        assert_eq!(Shape::of_artifact(&path("abc.sequential.cwasm")), None);
    }

    #[test]
    fn there_is_room_for_the_largest_of_each() {
        let artifacts =
            ["a.1-4-10", "b.6-2-100000"].map(|name| path(&format!("{name}.sequential.cwasm")));
        let capacity = Capacity::of(&artifacts, EngineKind::Sequential, 1050).expect("a need");
        let Capacity { instances, memories, tables, table_elements, .. } = capacity;
        assert_eq!((instances, memories, tables), (1050, 6300, 4200));
        assert_eq!(table_elements, 100_000);
        assert_eq!(Capacity::of(&artifacts, EngineKind::Concurrent, 1050), None);
    }

    #[test]
    fn address_space_has_an_end() {
        let artifacts = [path("a.20-1-10.sequential.cwasm")];
        let capacity = Capacity::of(&artifacts, EngineKind::Sequential, 1050).expect("a need");
        assert_eq!((capacity.instances, capacity.memories), (500, 10_000));
        assert_eq!(capacity.table_elements, LEAST_TABLE);
    }
}
