//! What `remuda:runtime` is in Rust: a world for each export, so that a component has only those that its
//! macros ask for.

#![allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "generated"
)]

pub mod lifecycle {
    wit_bindgen::generate!({
        path: "wit",
        world: "hooked",
        pub_export_macro: true,
        export_macro_name: "__export_lifecycle",
        default_bindings_module: "remuda_sdk::__private::lifecycle",
    });
}

pub mod jobs {
    wit_bindgen::generate!({
        path: "wit",
        world: "working",
        pub_export_macro: true,
        export_macro_name: "__export_jobs",
        default_bindings_module: "remuda_sdk::__private::jobs",
    });
}

pub mod offloading {
    wit_bindgen::generate!({ path: "wit", world: "offloading" });
}

pub use jobs::__export_jobs as export_jobs;
pub use lifecycle::__export_lifecycle as export_lifecycle;
