//! `#[job]`: a type of the function's name that knows how to run it here and elsewhere.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{ItemFn, Result, Type, parse_quote, spanned::Spanned as _};

use crate::signature::{NoArgs, arguments, check, is_bytes, is_called, parameter, returned};

pub(crate) fn expand(NoArgs: NoArgs, function: &ItemFn) -> Result<TokenStream> {
    check(function, "a job")?;
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let types = arguments(function);
    // What is wrong with an argument is to be said of its type, and of the job of its name.
    let numbered = types.iter().enumerate();
    let names: Vec<_> =
        numbered.map(|(index, it)| format_ident!("argument{index}", span = it.span())).collect();
    let to = types.iter().map(|it| codec("to", it));
    let from = types.iter().map(|it| codec("from", it));
    let count = types.len();
    let run =
        quote_spanned!(name.span()=> ::remuda_sdk::__private::offload::<Self>(payload).await?);

    let unit: Type = parse_quote!(());
    let output = returned(function).unwrap_or(&unit);
    let result = if is_called(output, "Result") { parameter(output, 0) } else { None };
    let call = match function.sig.asyncness {
        Some(_) => quote!(#name(#(#names),*).await),
        None => quote!(#name(#(#names),*)),
    };
    let call = if result.is_some() { quote!(#call?) } else { call };
    let value = result.unwrap_or(output);
    let (encode, decode) = (codec("to", value), codec("from", value));

    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #visibility struct #name {}

        impl #name {
            /// Runs it in an instance of its own; see `offload!`.
            #[allow(dead_code)]
            #visibility async fn offload(
                #(#names: #types),*
            ) -> ::core::result::Result<#value, ::remuda_sdk::Error> {
                let payload = ::remuda_sdk::__private::codec::join::<#count>([#(#to(#names)?),*])?;
                #decode(#run)
            }
        }

        impl ::remuda_sdk::__private::Job for #name {
            const NAME: &'static str =
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name));

            async fn run(
                payload: ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<::std::vec::Vec<u8>, ::remuda_sdk::Error> {
                let [#(#names),*] = ::remuda_sdk::__private::codec::split::<#count>(payload)?;
                #(let #names: #types = #from(#names)?;)*
                let value: #value = #call;
                #encode(value)
            }
        }
    })
}

/// The function that writes or reads a value.
fn codec(direction: &str, written: &Type) -> TokenStream {
    let kind = if is_bytes(written) { "raw" } else { "json" };
    let name = format_ident!("{direction}_{kind}");
    quote_spanned!(written.span()=> ::remuda_sdk::__private::codec::#name)
}
