//! `#[derive(Rootable)]`: the type for every brand. The type itself, whatever its brand, stands for all of them.

use crate::attributes::TypeAttributes;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, GenericParam, Lifetime, Result, parse_quote};

pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(input)?;
    let brand = attributes.brand(input)?;
    let name = &input.ident;
    let fresh = Lifetime::new("'__gc", proc_macro2::Span::call_site());
    // The type with another lifetime for its brand.
    let arguments = input.generics.params.iter().map(|parameter| match parameter {
        GenericParam::Lifetime(one) if brand.as_ref() == Some(&one.lifetime) => fresh.to_token_stream(),
        GenericParam::Lifetime(one) => one.lifetime.to_token_stream(),
        GenericParam::Type(one) => one.ident.to_token_stream(),
        GenericParam::Const(one) => one.ident.to_token_stream(),
    });
    let branded = if input.generics.params.is_empty() { quote!(#name) } else { quote!(#name<#(#arguments),*>) };
    let mut generics = input.generics.clone();
    let parameters: Vec<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let clause = generics.make_where_clause();
    if let Some(bound) = attributes.bound {
        clause.predicates.extend(bound);
    }
    for parameter in parameters {
        clause.predicates.push(parse_quote!(#parameter: 'static + for<'__any> ::neap_gc::arena::Trace<'__any>));
    }
    let (implementation, own, clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #implementation ::neap_gc::arena::Rootable for #name #own #clause {
            type Root<#fresh> = #branded;
        }
    })
}
