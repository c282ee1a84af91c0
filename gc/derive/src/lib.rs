//! The derive macros of `neap_gc::arena`: `Trace` and `Rootable`. They are exported, and documented with examples, by that module.
//!
//! What they make has to be right for any type that compiles: users write no `unsafe`. So a macro here never takes the user's word where a bound can be
//! checked by the compiler.

mod attributes;
mod rootable;
mod trace;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Implements `neap_gc::arena::Trace`: see there.
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    trace::expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `neap_gc::arena::Rootable`: see there.
#[proc_macro_derive(Rootable, attributes(trace))]
pub fn derive_rootable(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    rootable::expand(&input).unwrap_or_else(Error::into_compile_error).into()
}
