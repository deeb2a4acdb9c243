//! Secrets made of files and literals.
//!
//! Source: kustomize `api/internal/generators/secret.go`.

use super::Inputs;
use super::config_map::{Options, base, base64, datum};
use super::pairs;
use crate::error::Result;
use crate::kustomization::{ConfigMapArgs, GeneratorOptions};
use crate::resource::Resource;
use crate::value::{Map, Value};
use crate::yaml::{self, plain_key};

/// Makes the Secret that an entry of `secretGenerator` describes.
///
/// All content is encoded; `data` is there even where it is empty.
///
/// # Errors
/// As [`config_map`](super::config_map).
pub fn secret(
    args: &ConfigMapArgs,
    defaults: Option<&GeneratorOptions>,
    inputs: &Inputs<'_>,
) -> Result<Resource> {
    let mut value = base("Secret", args, inputs)?;
    let kind = if args.secret_type.is_empty() { "Opaque" } else { &args.secret_type };
    value.set(&["type"], yaml::set_string(kind));
    let pairs = pairs::load(args, inputs)?;
    let data: Map =
        pairs.iter().map(|pair| (plain_key(&pair.key), datum(&base64(&pair.content)))).collect();
    value.set(&["data"], Value::Map(data));
    Ok(Options::new(args, defaults).generated(value, args, inputs))
}
