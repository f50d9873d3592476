//! `#[handler]`: the export of `wasi:http/handler`, and that of the jobs it lists.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Error, ItemFn, Path, Result, Token, Type, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned as _,
};

use crate::signature::{arguments, check, is_called, returned};

/// `jobs(resize, text::index)`
pub(crate) struct Args {
    jobs: Vec<Path>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut jobs = Vec::new();
        while !input.is_empty() {
            let name: syn::Ident = input.parse()?;
            if name != "jobs" {
                return Err(Error::new(name.span(), "unknown; there is `jobs(name, …)`"));
            }
            let list;
            parenthesized!(list in input);
            jobs.extend(Punctuated::<Path, Token![,]>::parse_terminated(&list)?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { jobs })
    }
}

pub(crate) fn expand(Args { jobs }: Args, function: &ItemFn) -> Result<TokenStream> {
    check(function, "a handler")?;
    let name = &function.sig.ident;
    let is_async = function.sig.asyncness.is_some();
    let makes_router = returned(function).is_some_and(|it| is_called(it, "Router"));
    let (checks, serve) = match (is_async, makes_router) {
        (true, true) => {
            let message = "the function that makes the router is no `async fn`; what is to be \
                           awaited before the first request belongs into a `#[startup]`";
            return Err(Error::new(function.sig.asyncness.span(), message));
        }
        (false, false) => {
            let message = "a handler is an `async fn`, or returns the `Router` that answers";
            return Err(Error::new(function.sig.fn_token.span(), message));
        }
        (false, true) if !function.sig.inputs.is_empty() => {
            let message = "the function that makes the router has no arguments";
            return Err(Error::new(function.sig.inputs.span(), message));
        }
        (false, true) => (TokenStream::new(), quote!(serve_app(request, #name).await)),
        (true, false) => (check_types(function)?, quote!(serve(request, &#name).await)),
    };
    let one = syn::Ident::new("a_component_has_one_handler", name.span());
    let listed = listed(&jobs);
    let export = export_jobs(&jobs);
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_upper_case_globals, dead_code)]
        const #one: () = ();

        // Outside of a guest and its tests it has no other use.
        const _: fn() = || _ = #name;

        #checks
        #listed

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl ::remuda_sdk::__private::HandlerGuest for Component {
                async fn handle(
                    request: ::remuda_sdk::__private::WasiRequest,
                ) -> ::core::result::Result<
                    ::remuda_sdk::__private::WasiResponse,
                    ::remuda_sdk::__private::ErrorCode,
                > {
                    ::remuda_sdk::__private::#serve
                }
            }

            ::remuda_sdk::__private::export_handler!(
                Component with_types_in ::remuda_sdk::__private::wasip3
            );
        };

        #export
    })
}

/// Says of each type alone whether it is right: what the compiler says of the whole function does not
/// tell which one is wrong.
fn check_types(function: &ItemFn) -> Result<TokenStream> {
    let arguments = arguments(function);
    if let Some(ninth) = arguments.get(8) {
        return Err(Error::new(ninth.span(), "a handler has at most eight arguments"));
    }
    let mut checks = TokenStream::new();
    if let Some((last, others)) = arguments.split_last() {
        for argument in others.iter().filter(|it| is_nameable(it)) {
            checks.extend(quote_spanned! {argument.span()=>
                const _: fn() = from_parts::<#argument>;
            });
        }
        if is_nameable(last) {
            checks.extend(quote_spanned! {last.span()=>
                const _: fn() = || from_request::<#last, _>();
            });
        }
    }
    if let Some(returned) = returned(function).filter(|it| is_nameable(it)) {
        checks.extend(quote_spanned! {returned.span()=>
            const _: fn() = into_response::<#returned>;
        });
    }
    Ok(quote! {
        const _: () = {
            #[allow(dead_code)]
            fn from_parts<T: ::remuda_sdk::FromRequestParts<()>>() {}
            #[allow(dead_code)]
            fn from_request<T: ::remuda_sdk::FromRequest<(), M>, M>() {}
            #[allow(dead_code)]
            fn into_response<T: ::remuda_sdk::IntoResponse>() {}
            #checks
        };
    })
}

/// Whether it can stand where a type is chosen.
fn is_nameable(written: &Type) -> bool {
    let text = quote!(#written).to_string();
    !matches!(written, Type::ImplTrait(_)) && !text.contains("impl ") && !text.contains('&')
}

fn listed(jobs: &[Path]) -> TokenStream {
    jobs.iter()
        .map(|job| quote_spanned!(job.span()=> impl ::remuda_sdk::__private::Listed for #job {}))
        .collect()
}

fn export_jobs(jobs: &[Path]) -> TokenStream {
    if jobs.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Jobs;

            impl ::remuda_sdk::__private::JobsGuest for Jobs {
                async fn run(
                    job: ::std::string::String,
                    payload: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::remuda_sdk::__private::JobError> {
                    #(
                        if job == <#jobs as ::remuda_sdk::__private::Job>::NAME {
                            return ::remuda_sdk::__private::run_job::<#jobs>(payload).await;
                        }
                    )*
                    ::core::result::Result::Err(::remuda_sdk::__private::JobError::UnknownJob)
                }
            }

            ::remuda_sdk::__private::export_jobs!(
                Jobs with_types_in ::remuda_sdk::__private::jobs
            );
        };
    }
}
