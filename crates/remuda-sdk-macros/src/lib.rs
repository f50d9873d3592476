//! The macros of `remuda-sdk`, which documents and re-exports them.
//!
//! Invariant: what is wrong is said where it stands; what is right compiles for the machine that it is
//! tested on as it does for a guest, where it exports something besides.

mod handler;
mod hooks;
mod job;
mod offload;
mod signature;

use proc_macro::TokenStream;
use syn::{Result, parse_macro_input};

/// Makes a component of a function.
///
/// The function is an `async fn` that answers requests (see `Handler`), or one without arguments that
/// returns the `Router` which does; the latter is called once in each instance, at its first request.
/// `#[handler(jobs(resize, text::index))]` also exports these [`macro@job`]s. A component has one handler.
///
/// ```
/// use remuda_sdk::{Request, Response, Result, handler};
///
/// #[handler]
/// async fn handle(request: Request) -> Result<Response> {
///     Ok(Response::new(format!("You asked for {}\n", request.path()).into()))
/// }
///
/// # let response = remuda_sdk::test::get("/a").send_now(handle);
/// # assert_eq!(response.text(), "You asked for /a\n");
/// ```
#[proc_macro_attribute]
pub fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as handler::Args);
    expand(item, |function| handler::expand(args, function))
}

/// Makes a function that can be offloaded: run in another instance of this component, on a thread for
/// heavy work, while this instance goes on with other requests.
///
/// Arguments and result are serialized: `Vec<u8>` and `Bytes` are sent as they are, all else as JSON. The
/// function may be `async`, and may return a `Result`, whose error keeps its status. The handler lists the
/// job. A job has none of the instance's state, and is given up with the request that wants it.
///
/// ```
/// use remuda_sdk::{Result, handler, job, offload};
///
/// #[job]
/// fn count_words(text: String) -> usize {
///     text.split_whitespace().count()
/// }
///
/// #[handler(jobs(count_words))]
/// async fn handle(text: String) -> Result<String> {
///     let words = offload!(count_words(text)).await?;
///     Ok(format!("{words} words\n"))
/// }
///
/// # let response = remuda_sdk::test::post("/").body("a b c").send_now(handle);
/// # assert_eq!(response.text(), "3 words\n");
/// ```
#[proc_macro_attribute]
pub fn job(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as signature::NoArgs);
    expand(item, |function| job::expand(args, function))
}

/// Runs a [`macro@job`] elsewhere; to be awaited. A test runs it in place.
///
/// The result is a `Result` with what the job returns, and the errors of the job as well as those of
/// running it (`OffloadError`).
///
/// ```
/// # use remuda_sdk::{Result, handler, job, offload};
/// #[job]
/// fn sum(numbers: Vec<u64>) -> u64 {
///     numbers.iter().sum()
/// }
///
/// # #[handler(jobs(sum))]
/// async fn handle() -> Result<String> {
///     Ok(offload!(sum(vec![1, 2, 3])).await?.to_string())
/// }
/// # assert_eq!(remuda_sdk::test::get("/").send_now(handle).text(), "6");
/// ```
#[proc_macro]
pub fn offload(call: TokenStream) -> TokenStream {
    finish(offload::expand(call.into()))
}

/// Calls this function before the first request of each instance. An error keeps the instance, and at
/// start the server, from serving; it is logged. How long it may take is `instances.startup_timeout`.
///
/// ```
/// use std::cell::OnceCell;
///
/// use remuda_sdk::{Result, startup};
///
/// thread_local! {
///     static WORDS: OnceCell<Vec<String>> = const { OnceCell::new() };
/// }
///
/// #[startup]
/// async fn load() -> Result<()> {
///     let words = "one two three".split(' ').map(str::to_owned).collect();
///     WORDS.with(|cell| cell.set(words)).ok();
///     Ok(())
/// }
/// # fn main() { remuda_sdk::test::block_on(load()).unwrap(); }
/// ```
#[proc_macro_attribute]
pub fn startup(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as signature::NoArgs);
    expand(item, |function| hooks::startup(args, function))
}

/// Calls this function after the last request of each instance that ends in order. It stands in the
/// module of a [`macro@startup`].
///
/// ```
/// use remuda_sdk::{shutdown, startup};
///
/// #[startup]
/// fn start() {}
///
/// #[shutdown]
/// async fn flush() {
///     println!("sends what was collected");
/// }
/// # fn main() { remuda_sdk::test::block_on(flush()); }
/// ```
#[proc_macro_attribute]
pub fn shutdown(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as signature::NoArgs);
    expand(item, |function| hooks::shutdown(args, function))
}

/// What went wrong comes with the function, lest all who call it complain too.
fn expand(
    item: TokenStream,
    write: impl FnOnce(&syn::ItemFn) -> Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let function = parse_macro_input!(item as syn::ItemFn);
    let rest = write(&function).unwrap_or_else(|error| error.to_compile_error());
    quote::quote!(#function #rest).into()
}

fn finish(tokens: Result<proc_macro2::TokenStream>) -> TokenStream {
    tokens.unwrap_or_else(|error| error.to_compile_error()).into()
}
