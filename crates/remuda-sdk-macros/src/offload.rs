//! `offload!(job(arguments))`: a call of the function `offload` of the job's type.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::{Error, Expr, Result, spanned::Spanned as _};

pub(crate) fn expand(call: TokenStream) -> Result<TokenStream> {
    let shape = "failed to read what to offload: it is `offload!(job(arguments))`";
    if call.is_empty() {
        return Err(Error::new(proc_macro2::Span::call_site(), shape));
    }
    let call: Expr = syn::parse2(call)?;
    let wrong = || Error::new(call.span(), shape);
    let Expr::Call(call) = &call else { return Err(wrong()) };
    let Expr::Path(job) = &*call.func else { return Err(wrong()) };
    let arguments = &call.args;
    Ok(quote_spanned!(job.span()=> #job::offload(#arguments)))
}
