//! The attribute `#[trace(...)]` on a type or a field, and which lifetime of a type is its brand.
//!
//! | on a type | means |
//! |---|---|
//! | `static` | no references in it, it may implement `Drop` |
//! | `no_drop` | it may not (what is the case anyway) |
//! | `finalize` | its objects can be given a finalizer: it implements `Finalize` |
//! | `bound = "T: ..."` | these bounds, in place of `T: Trace<'gc>` for each parameter |
//! | `gc = 'a` | that lifetime is the brand |
//!
//! A field knows `static` alone.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Error, Lifetime, LitStr, Result, Token, WherePredicate};

/// What a type says of itself.
#[derive(Default)]
pub struct TypeAttributes {
    pub is_static: bool,
    pub finalize: bool,
    pub bound: Option<Punctuated<WherePredicate, Token![,]>>,
    pub brand: Option<Lifetime>,
}

impl TypeAttributes {
    pub fn parse(input: &DeriveInput) -> Result<TypeAttributes> {
        let mut found = TypeAttributes::default();
        for attribute in ours(&input.attrs) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("static") {
                    found.is_static = true;
                } else if meta.path.is_ident("no_drop") {
                    // The default, said aloud.
                } else if meta.path.is_ident("finalize") {
                    found.finalize = true;
                } else if meta.path.is_ident("bound") {
                    let text: LitStr = meta.value()?.parse()?;
                    found.bound = Some(text.parse_with(Punctuated::parse_terminated)?);
                } else if meta.path.is_ident("gc") {
                    found.brand = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("a type knows `static`, `no_drop`, `finalize`, `bound = \"...\"` and `gc = 'a` here"));
                }
                Ok(())
            })?;
        }
        if found.is_static && found.finalize {
            return Err(Error::new(
                input.ident.span(),
                "a `static` type has no finalizer: implement `Drop`, which runs when the object dies",
            ));
        }
        Ok(found)
    }

    /// The lifetime that is the brand, if the type has one.
    pub fn brand(&self, input: &DeriveInput) -> Result<Option<Lifetime>> {
        let own: Vec<&Lifetime> = input.generics.lifetimes().map(|parameter| &parameter.lifetime).collect();
        if let Some(brand) = &self.brand {
            if own.contains(&brand) {
                return Ok(Some(brand.clone()));
            }
            return Err(Error::new(brand.span(), format!("`{}` has no lifetime `{brand}`", input.ident)));
        }
        match own.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => match several.iter().find(|lifetime| lifetime.ident == "gc") {
                Some(brand) => Ok(Some((*brand).clone())),
                None => Err(Error::new(
                    input.generics.span(),
                    "which of the lifetimes is the brand of the arena? Call it `'gc`, or say `#[trace(gc = 'a)]`",
                )),
            },
        }
    }
}

/// Whether a field is `#[trace(static)]`.
pub fn field_is_static(attributes: &[Attribute]) -> Result<bool> {
    let mut found = false;
    for attribute in ours(attributes) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("static") {
                found = true;
                return Ok(());
            }
            Err(meta.error("a field knows `static` alone: it holds no `Gc`, and the collector does not look into it"))
        })?;
    }
    Ok(found)
}

fn ours(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("trace"))
}
