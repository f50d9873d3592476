//! The fields that the host keeps for a guest, on the guest's account.
//!
//! Purpose: a guest that makes fields without end takes nothing of its own memory, and
//! wasi:http bounds each set of fields but not their number. So the functions through which
//! they grow are replaced by ones that charge the guest first. Invariant: apart from that they
//! do what the originals do; what was charged comes back when the guest has come to rest, but
//! for what it has not dropped.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable},
};
use wasmtime_wasi_http::{FieldMap, WasiHttpView as _};

use super::HostState;
use crate::settings::EngineKind;

/// As wasmtime's own linker registers them.
const TYPES_02: &str = "wasi:http/types@0.2.12";
const TYPES_03: &str = "wasi:http/types@0.3.0";

/// What the host needs for a field beside its name and value.
const FIELD_BYTES: usize = 64;

type Fields = Resource<FieldMap>;
type Name = String;
type Value = Vec<u8>;
type Store<'a> = StoreContextMut<'a, HostState>;

/// Replaces the functions. The linker must already have the originals.
pub(super) fn add_to_linker(
    linker: &mut Linker<HostState>,
    kind: EngineKind,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    version_02::add_to_linker(linker)?;
    if kind == EngineKind::Concurrent {
        version_03::add_to_linker(linker)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Bytes of all fields that a guest at rest has not dropped, whoever made them.
pub(super) fn left_in(table: &mut ResourceTable) -> u64 {
    let maps = table.iter_mut().filter_map(|entry| entry.downcast_ref::<FieldMap>());
    maps.map(size_of_all).sum::<usize>() as u64
}

fn charge(store: &mut Store<'_>, bytes: usize) -> wasmtime::Result<()> {
    store.data_mut().limiter.charge(bytes as u64)
}

fn size(values: &[Value], name: &Name) -> usize {
    values.iter().map(|value| value.len() + name.len() + FIELD_BYTES).sum()
}

fn size_of_copy(store: &Store<'_>, fields: &Fields) -> wasmtime::Result<usize> {
    Ok(size_of_all(store.data().table.get(fields)?))
}

fn size_of_all(fields: &FieldMap) -> usize {
    let each = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + FIELD_BYTES
    };
    fields.iter().map(each).sum()
}

/// The same functions of both versions, which have types of their own.
macro_rules! version {
    ($module:ident, $bindings:path, $types:expr) => {
        mod $module {
            use super::*;
            use $bindings::{HeaderError, Host as _, HostFields as _};

            type Made = wasmtime::Result<(Result<Fields, HeaderError>,)>;
            type Changed = wasmtime::Result<(Result<(), HeaderError>,)>;

            pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
                let mut types = linker.instance($types)?;
                types.func_wrap("[static]fields.from-list", from_list)?;
                types.func_wrap("[method]fields.set", set)?;
                types.func_wrap("[method]fields.append", append)?;
                types.func_wrap("[method]fields.clone", clone)
            }

            fn from_list(mut store: Store<'_>, (list,): (Vec<(Name, Value)>,)) -> Made {
                let each = |(name, value): &(Name, Value)| name.len() + value.len() + FIELD_BYTES;
                charge(&mut store, list.iter().map(each).sum())?;
                let mut http = store.data_mut().http();
                let made = http.from_list(list);
                Ok((made.map(Ok).or_else(|error| http.convert_header_error(error).map(Err))?,))
            }

            fn set(
                mut store: Store<'_>,
                (fields, name, values): (Fields, Name, Vec<Value>),
            ) -> Changed {
                charge(&mut store, size(&values, &name))?;
                let mut http = store.data_mut().http();
                let set = http.set(fields, name, values);
                Ok((set.map(Ok).or_else(|error| http.convert_header_error(error).map(Err))?,))
            }

            fn append(
                mut store: Store<'_>,
                (fields, name, value): (Fields, Name, Value),
            ) -> Changed {
                charge(&mut store, name.len() + value.len() + FIELD_BYTES)?;
                let mut http = store.data_mut().http();
                let appended = http.append(fields, name, value);
                Ok((appended.map(Ok).or_else(|error| http.convert_header_error(error).map(Err))?,))
            }

            fn clone(mut store: Store<'_>, (fields,): (Fields,)) -> wasmtime::Result<(Fields,)> {
                // The copy is made when one of the two changes.
                let bytes = size_of_copy(&store, &fields)?;
                charge(&mut store, bytes)?;
                Ok((store.data_mut().http().clone(fields)?,))
            }
        }
    };
}

version!(version_02, wasmtime_wasi_http::p2::bindings::http::types, TYPES_02);
version!(version_03, wasmtime_wasi_http::p3::bindings::http::types, TYPES_03);
