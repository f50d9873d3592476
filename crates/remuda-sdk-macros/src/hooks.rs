//! `#[startup]` and `#[shutdown]`: the export of `remuda:runtime/lifecycle`.
//!
//! Both functions belong to one export, and neither macro sees the other one. So the startup writes it,
//! and calls what `__remuda_shutdown` is in its module: that of a `#[shutdown]`, or else the one of the
//! glob import, which does nothing.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, ItemFn, Result, spanned::Spanned as _};

use crate::signature::{NoArgs, check, returned};

pub(crate) fn startup(NoArgs: NoArgs, function: &ItemFn) -> Result<TokenStream> {
    let call = call(function, "a startup hook")?;
    let check = check_result(function);
    let name = &function.sig.ident;
    Ok(quote! {
        #check

        // Outside of a guest it has no other use.
        const _: fn() = || _ = #name;

        #[doc(hidden)]
        #[allow(dead_code)]
        struct __RemudaStartup;

        impl ::remuda_sdk::__private::hooks::IsStartup for __RemudaStartup {}

        #[allow(unused_imports)]
        use ::remuda_sdk::__private::hooks::defaults::*;

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Hooks;

            impl ::remuda_sdk::__private::LifecycleGuest for Hooks {
                async fn startup() -> ::core::result::Result<(), ::std::string::String> {
                    ::remuda_sdk::__private::hooks::start(#call).await
                }

                async fn shutdown() {
                    __remuda_shutdown().await
                }
            }

            ::remuda_sdk::__private::export_lifecycle!(
                Hooks with_types_in ::remuda_sdk::__private::lifecycle
            );
        };
    })
}

pub(crate) fn shutdown(NoArgs: NoArgs, function: &ItemFn) -> Result<TokenStream> {
    let call = call(function, "a shutdown hook")?;
    let check = check_result(function);
    let name = syn::Ident::new("__RemudaStartup", function.sig.ident.span());
    Ok(quote! {
        #check

        #[doc(hidden)]
        #[allow(dead_code)]
        async fn __remuda_shutdown() {
            ::remuda_sdk::__private::hooks::stop(#call).await
        }

        #[allow(unused_imports)]
        use ::remuda_sdk::__private::hooks::defaults::*;

        const _: () = ::remuda_sdk::__private::hooks::needs_startup::<#name>();
    })
}

/// The hook's future.
fn call(function: &ItemFn, what: &str) -> Result<TokenStream> {
    check(function, what)?;
    if !function.sig.inputs.is_empty() {
        let message = format!("{what} has no arguments");
        return Err(Error::new(function.sig.inputs.span(), message));
    }
    let name = &function.sig.ident;
    Ok(match function.sig.asyncness {
        Some(_) => quote!(#name()),
        None => quote!(async { #name() }),
    })
}

/// Says of a wrong return type that it is one, outside of guests too.
fn check_result(function: &ItemFn) -> Option<TokenStream> {
    let returned = returned(function)?;
    Some(quote_spanned! {returned.span()=>
        const _: fn() = ::remuda_sdk::__private::hooks::returns::<#returned>;
    })
}
