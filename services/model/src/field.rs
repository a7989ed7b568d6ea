//! How a configuration is written down: named fields, each read from and printed as plain text.
//!
//! Clients send the same setting as a JSON number, a JSON boolean or a form string; they all
//! become text first and are then parsed by one [`Field`] implementation. [`config!`] makes a
//! configuration out of such fields, with numbered ones (`net[n]`), and reports every wrong field
//! at once by its name in [`FieldErrors`].

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// A value of a configuration: parsed from text, printed as text, described by a schema.
pub trait Field: Sized {
    /// Parses the text of one field; the error says what is wrong and what would be right.
    fn parse(text: &str) -> Result<Self, String>;
    /// Prints the text that [`Field::parse`] reads back.
    fn print(&self) -> String;
    /// The JSON form; text unless the type has a better one.
    fn to_json(&self) -> Value {
        Value::String(self.print())
    }
    /// JSON Schema of the JSON form.
    fn schema() -> Value;
    /// Reads any JSON scalar by way of its text.
    fn from_json(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::Bool(true) => Self::parse("1"),
            Value::Bool(false) => Self::parse("0"),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err("expected one plain value".to_owned())
            }
        }
    }
}

impl Field for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "yes" | "true" => Ok(true),
            "0" | "off" | "no" | "false" => Ok(false),
            _ => Err(format!("'{text}' is not a boolean: use 1 or 0")),
        }
    }
    fn print(&self) -> String {
        if *self { "1" } else { "0" }.to_owned()
    }
    fn to_json(&self) -> Value {
        Value::Bool(*self)
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Field for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn print(&self) -> String {
        self.clone()
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Int<MIN, MAX> {
    /// The number, if it lies within the bounds.
    pub fn new(value: u64) -> Option<Self> {
        (MIN..=MAX).contains(&value).then_some(Self(value))
    }
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Field for Int<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, String> {
        let value = text
            .parse()
            .map_err(|_| format!("'{text}' is not a whole number from {MIN} to {MAX}"))?;
        Self::new(value).ok_or_else(|| format!("{value} is not from {MIN} to {MAX}"))
    }
    fn print(&self) -> String {
        self.0.to_string()
    }
    fn to_json(&self) -> Value {
        Value::from(self.0)
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// Wrong fields by name, each with what is wrong and how to put it right.
///
/// It prints one line per field, `name: text`, and [`FieldErrors::from_lines`] reads that back:
/// serde lets an error through as text only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(pub BTreeMap<String, String>);

impl FieldErrors {
    /// One wrong field.
    pub fn one(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self(BTreeMap::from([(field.into(), text.into())]))
    }

    /// Notes a wrong field; the first thing said about it stays.
    pub fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        self.0
            .entry(field.into())
            .or_insert_with(|| text.into().replace('\n', " "));
    }

    /// Passes `value` if nothing is wrong.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Reads what [`fmt::Display`] printed; none if the text is something else.
    pub fn from_lines(text: &str) -> Option<Self> {
        let mut errors = BTreeMap::new();
        for line in text.lines() {
            let (name, reason) = line.split_once(": ")?;
            if name.is_empty() || name.contains(char::is_whitespace) {
                return None;
            }
            errors.insert(name.to_owned(), reason.to_owned());
        }
        (!errors.is_empty()).then_some(Self(errors))
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, text)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{name}: {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

/// The number behind an indexed name: `net` and `net3` give 3. Leading zeros are no number.
pub fn index_of(prefix: &str, key: &str) -> Option<u8> {
    let digits = key.strip_prefix(prefix)?;
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// A schema with a description added.
pub fn described(mut schema: Value, text: &str) -> Value {
    if let Value::Object(object) = &mut schema {
        object.insert(
            "description".to_owned(),
            Value::String(text.trim().to_owned()),
        );
    }
    schema
}

/// Reads one named field out of `map`, noting what is wrong with it.
pub fn take<T: Field>(
    map: &mut Map<String, Value>,
    key: &str,
    errors: &mut FieldErrors,
) -> Option<T> {
    let value = map.remove(key)?;
    T::from_json(&value)
        .map_err(|text| errors.add(key, text))
        .ok()
}

/// Reads every field `prefix0`, `prefix1`, … up to `max` out of `map`.
pub fn take_indexed<T: Field>(
    map: &mut Map<String, Value>,
    prefix: &str,
    max: u8,
    errors: &mut FieldErrors,
) -> BTreeMap<u8, T> {
    let keys: Vec<(String, u8)> = map
        .keys()
        .filter_map(|key| Some((key.clone(), index_of(prefix, key)?)))
        .filter(|(_, index)| *index <= max)
        .collect();
    keys.into_iter()
        .filter_map(|(key, index)| Some((index, take(map, &key, errors)?)))
        .collect()
}

/// Declares a configuration: optional named fields and numbered ones.
///
/// Besides the struct it makes `from_map`, `to_map`, `knows`, serde in both directions (a flat
/// map) and the JSON Schema, where `net[n]` is the pattern property `^net(0|[1-9][0-9]*)$`.
#[macro_export]
macro_rules! config {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident $key:literal : $ty:ty ,)*
        }
        numbered {
            $( $(#[doc = $ndoc:literal])+ $nfield:ident $nkey:literal ..= $max:literal : $nty:ty ,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: Option<$ty>, )*
            $( $(#[doc = $ndoc])+ pub $nfield: std::collections::BTreeMap<u8, $nty>, )*
        }

        impl $name {
            /// Reads a flat map of settings; every wrong or unknown one is named.
            pub fn from_map(
                map: &serde_json::Map<String, serde_json::Value>,
            ) -> Result<Self, $crate::field::FieldErrors> {
                let mut map = map.clone();
                let mut errors = $crate::field::FieldErrors::default();
                let config = Self {
                    $( $field: $crate::field::take(&mut map, $key, &mut errors), )*
                    $( $nfield: $crate::field::take_indexed(&mut map, $nkey, $max, &mut errors), )*
                };
                for key in map.keys() {
                    errors.add(key.as_str(), "there is no such setting here: remove it");
                }
                errors.or(config)
            }

            /// The settings that are set, as a flat map.
            pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut map = serde_json::Map::new();
                $( if let Some(value) = &self.$field {
                    map.insert($key.to_owned(), $crate::field::Field::to_json(value));
                } )*
                $( for (index, value) in &self.$nfield {
                    map.insert(format!("{}{index}", $nkey), $crate::field::Field::to_json(value));
                } )*
                map
            }

            /// Whether `key` is the name of a setting, set or not.
            pub fn knows(key: &str) -> bool {
                let numbered = |prefix, max: u8| {
                    $crate::field::index_of(prefix, key).is_some_and(|index| index <= max)
                };
                [$($key),*].contains(&key) $( || numbered($nkey, $max) )*
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.to_map().serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let map = serde_json::Map::deserialize(deserializer)?;
                Self::from_map(&map).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                #[allow(unused_mut)]
                let mut properties = serde_json::Map::new();
                #[allow(unused_mut)]
                let mut patterns = serde_json::Map::new();
                $( properties.insert($key.to_owned(), $crate::field::described(
                    <$ty as $crate::field::Field>::schema(), concat!($($doc, "\n"),+))); )*
                $( patterns.insert(format!("^{}(0|[1-9][0-9]*)$", $nkey), $crate::field::described(
                    <$nty as $crate::field::Field>::schema(), concat!($($ndoc, "\n"),+))); )*
                schemars::json_schema!({
                    "type": "object",
                    "properties": properties,
                    "patternProperties": patterns,
                })
            }
        }
    };
}

/// Gives a type with `FromStr` (error: `String`) and `Display` its [`Field`], serde and schema.
#[macro_export]
macro_rules! text_field {
    ($ty:ty, $schema_name:expr, $schema:expr) => {
        impl $crate::field::Field for $ty {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse()
            }
            fn print(&self) -> String {
                self.to_string()
            }
            fn schema() -> serde_json::Value {
                $schema
            }
        }
        $crate::scalar_serde!($ty, $schema_name);
    };
}

/// Gives a [`Field`] type serde in both directions and a JSON Schema.
#[macro_export]
macro_rules! scalar_serde {
    ($ty:ty, $schema_name:expr) => {
        impl serde::Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::field::Field::to_json(self).serialize(serializer)
            }
        }
        impl<'de> serde::Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                <Self as $crate::field::Field>::from_json(&value).map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema_name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::Schema::try_from(<Self as $crate::field::Field>::schema())
                    .unwrap_or_default()
            }
        }
    };
}

/// Declares an enum of fixed words with `FromStr`, `Display`, serde and schema.
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$vmeta:meta])+ $variant:ident = $word:literal ,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$vmeta])+ $variant, )+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err(format!("'{text}' is none of: {}", [$($word),+].join(", "))),
                }
            }
        }

        $crate::text_field!($name, stringify!($name), serde_json::json!({
            "type": "string", "enum": [$($word),+]
        }));
    };
}
