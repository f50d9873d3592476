//! What all functions that a macro stands before have in common.

use syn::{
    Error, FnArg, GenericArgument, ItemFn, PathArguments, Result, ReturnType, Type,
    parse::{Parse, ParseStream},
    spanned::Spanned as _,
};

/// Nothing in the attribute's parentheses.
pub(crate) struct NoArgs;

impl Parse for NoArgs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            Ok(Self)
        } else {
            Err(input.error("this attribute has no arguments"))
        }
    }
}

/// Refuses what no function that is called from outside can be.
pub(crate) fn check(function: &ItemFn, what: &str) -> Result<()> {
    let signature = &function.sig;
    if !signature.generics.params.is_empty() {
        let message = format!("{what} has no generic parameters: nobody would choose them");
        return Err(Error::new(signature.generics.span(), message));
    }
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        let message = format!("{what} is a function of its own, without `self`");
        return Err(Error::new(receiver.span(), message));
    }
    if let Some(word) = &signature.unsafety {
        return Err(Error::new(word.span(), format!("{what} is not unsafe")));
    }
    Ok(())
}

/// The types of all arguments.
pub(crate) fn arguments(function: &ItemFn) -> Vec<&Type> {
    let inputs = function.sig.inputs.iter();
    let types = inputs.filter_map(|input| match input {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    });
    types.collect()
}

/// The return type, if it is written.
pub(crate) fn returned(function: &ItemFn) -> Option<&Type> {
    match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, returned) => Some(returned),
    }
}

/// Whether a type is called so, whatever its path.
pub(crate) fn is_called(written: &Type, name: &str) -> bool {
    matches!(written, Type::Path(path) if last(path).is_some_and(|segment| segment.ident == name))
}

/// The `n`th type in the angle brackets of a type.
pub(crate) fn parameter(written: &Type, index: usize) -> Option<&Type> {
    let Type::Path(path) = written else { return None };
    let PathArguments::AngleBracketed(parameters) = &last(path)?.arguments else { return None };
    let types = parameters.args.iter().filter_map(|parameter| match parameter {
        GenericArgument::Type(parameter) => Some(parameter),
        _ => None,
    });
    { types }.nth(index)
}

fn last(path: &syn::TypePath) -> Option<&syn::PathSegment> {
    path.path.segments.last()
}

/// Whether it is bytes, which are not serialized.
pub(crate) fn is_bytes(written: &Type) -> bool {
    let is_vec = is_called(written, "Vec");
    is_called(written, "Bytes")
        || is_vec && parameter(written, 0).is_some_and(|it| is_called(it, "u8"))
}
