//! `#[derive(Trace)]`: visits every field that is not `static`, and says which words of the type are references.

use crate::attributes::{TypeAttributes, field_is_static};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Index, Lifetime, Member, Result, Type, parse_quote};

pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(input)?;
    let name = &input.ident;
    let own_brand = attributes.brand(input)?;
    let brand = own_brand.clone().unwrap_or_else(|| Lifetime::new("'__gc", Span::call_site()));

    let shape = if attributes.is_static { Shape::of_static(input)? } else { Shape::of(input, &brand)? };

    // The bounds of the implementation.
    let mut generics = input.generics.clone();
    let parameters: Vec<Ident> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let others: Vec<Lifetime> =
        generics.lifetimes().map(|parameter| parameter.lifetime.clone()).filter(|lifetime| *lifetime != brand).collect();
    let clause = generics.make_where_clause();
    for other in others {
        clause.predicates.push(parse_quote!(#other: #brand));
    }
    if attributes.is_static {
        clause.predicates.push(parse_quote!(Self: ::neap_gc::arena::StaticContent));
    }
    match attributes.bound {
        Some(bound) => clause.predicates.extend(bound),
        None => {
            let traced = parameters.iter().filter(|parameter| shape.traced.iter().any(|ty| mentions(ty, parameter)));
            for parameter in traced {
                clause.predicates.push(parse_quote!(#parameter: ::neap_gc::arena::Trace<#brand>));
            }
            for ty in shape.statics.iter().filter(|ty| parameters.iter().any(|parameter| mentions(ty, parameter))) {
                clause.predicates.push(parse_quote!(#ty: ::neap_gc::arena::StaticContent));
            }
        }
    }
    let mut with_brand = generics.clone();
    if own_brand.is_none() {
        with_brand.params.insert(0, parse_quote!(#brand));
    }
    let (implementation, _, _) = with_brand.split_for_impl();
    let (_, own, clause) = generics.split_for_impl();

    let Shape { map, body, statics, .. } = &shape;
    let finalize = attributes.finalize.then(|| {
        quote! {
            const FINALIZE: ::core::option::Option<::neap_gc::arena::Finalizer<#brand, Self>> =
                ::core::option::Option::Some(<Self as ::neap_gc::arena::Finalize<#brand>>::finalize);
        }
    });
    let checks = statics.iter().map(|ty| quote_spanned!(ty.span()=> ::neap_gc::arena::assert_static::<#ty>();));
    let no_drop = (!attributes.is_static).then(|| no_drop(input));
    // SAFETY (of what is made): `body` shows every field but those that the checks have proved to be `'static`, and `map` is that of the same fields.
    Ok(quote! {
        #[automatically_derived]
        unsafe impl #implementation ::neap_gc::arena::Trace<#brand> for #name #own #clause {
            const MAP: ::neap_gc::arena::Map = #map;
            #finalize
            #[inline]
            fn trace(&self, __tracer: &mut ::neap_gc::arena::Tracer<'_>) {
                #(#checks)*
                #body
            }
        }
        #no_drop
    })
}

/// A type that is traced may not implement `Drop`: the objects that it refers to may be gone when that runs.
fn no_drop(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    let (implementation, own, clause) = input.generics.split_for_impl();
    quote! {
        const _: () = {
            #[allow(non_camel_case_types)]
            trait A_type_with_Gc_must_not_implement_Drop__use_a_finalizer_or_put_what_needs_Drop_into_a_static_field {}
            #[allow(drop_bounds)]
            impl<T: ?::core::marker::Sized + ::core::ops::Drop> A_type_with_Gc_must_not_implement_Drop__use_a_finalizer_or_put_what_needs_Drop_into_a_static_field for T {}
            impl #implementation
                A_type_with_Gc_must_not_implement_Drop__use_a_finalizer_or_put_what_needs_Drop_into_a_static_field
                for #name #own #clause {}
        };
    }
}

/// What the fields of a type come to.
struct Shape {
    map: TokenStream,
    body: TokenStream,
    traced: Vec<Type>,
    statics: Vec<Type>,
}

impl Shape {
    fn of_static(input: &DeriveInput) -> Result<Shape> {
        // Attributes of fields are still looked at: a mistyped one is an error.
        if let Data::Struct(data) = &input.data {
            for field in &data.fields {
                field_is_static(&field.attrs)?;
            }
        }
        let map = quote!(::neap_gc::arena::Map::EMPTY);
        Ok(Shape { map, body: TokenStream::new(), traced: Vec::new(), statics: Vec::new() })
    }

    fn of(input: &DeriveInput, brand: &Lifetime) -> Result<Shape> {
        match &input.data {
            Data::Struct(data) => Shape::of_struct(&data.fields, brand),
            Data::Enum(data) => {
                let mut shape = Shape::empty();
                let (mut arms, mut maps) = (Vec::new(), Vec::new());
                for variant in &data.variants {
                    let ident = &variant.ident;
                    let (mut patterns, mut visits) = (Vec::new(), Vec::new());
                    for (number, field) in variant.fields.iter().enumerate() {
                        if !shape.add(field)? {
                            continue;
                        }
                        let (ty, bound) = (&field.ty, format_ident!("__field_{number}"));
                        let member = member(field, number);
                        patterns.push(quote!(#member: #bound));
                        visits.push(visit(ty, brand, quote!(#bound)));
                        maps.push(map_of(ty, brand));
                    }
                    arms.push(quote!(Self::#ident { #(#patterns,)* .. } => { #(#visits)* }));
                }
                shape.map = quote!(::neap_gc::arena::Map::of_variants(&[#(#maps),*]));
                // An enum without variants has no objects.
                shape.body = if arms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) };
                Ok(shape)
            }
            Data::Union(data) => Err(Error::new(
                data.union_token.span,
                "which field of a union is in use can't be known: put an enum in its place, or say `#[trace(static)]` if it holds no `Gc`",
            )),
        }
    }

    fn of_struct(fields: &Fields, brand: &Lifetime) -> Result<Shape> {
        let mut shape = Shape::empty();
        let (mut visits, mut map) = (Vec::new(), quote!(::neap_gc::arena::Map::EMPTY));
        for (number, field) in fields.iter().enumerate() {
            if !shape.add(field)? {
                continue;
            }
            let (ty, member) = (&field.ty, member(field, number));
            visits.push(visit(ty, brand, quote!(&self.#member)));
            let own = map_of(ty, brand);
            map = quote!(#map.with(#own, ::core::mem::offset_of!(Self, #member)));
        }
        shape.map = map;
        shape.body = quote!(#(#visits)*);
        Ok(shape)
    }

    fn empty() -> Shape {
        Shape { map: TokenStream::new(), body: TokenStream::new(), traced: Vec::new(), statics: Vec::new() }
    }

    /// Whether the field is traced.
    fn add(&mut self, field: &Field) -> Result<bool> {
        let is_static = field_is_static(&field.attrs)?;
        if is_static { &mut self.statics } else { &mut self.traced }.push(field.ty.clone());
        Ok(!is_static)
    }
}

fn member(field: &Field, number: usize) -> Member {
    match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index::from(number)),
    }
}

/// The errors of a field whose type is not `Trace` point at the field's type.
fn visit(ty: &Type, brand: &Lifetime, field: TokenStream) -> TokenStream {
    quote_spanned!(ty.span()=> <#ty as ::neap_gc::arena::Trace<#brand>>::trace(#field, __tracer);)
}

fn map_of(ty: &Type, brand: &Lifetime) -> TokenStream {
    quote_spanned!(ty.span()=> <#ty as ::neap_gc::arena::Trace<#brand>>::MAP)
}

/// Whether a type's tokens name a parameter.
fn mentions(ty: &Type, parameter: &Ident) -> bool {
    fn search(tokens: TokenStream, parameter: &Ident) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == *parameter,
            TokenTree::Group(group) => search(group.stream(), parameter),
            _ => false,
        })
    }
    search(quote!(#ty), parameter)
}
