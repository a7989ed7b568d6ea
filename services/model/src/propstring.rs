//! Property strings: `value,key=value,…`, how Proxmox VE writes a structured setting in one line.
//!
//! [`split`] reads the pairs; [`propstring!`] makes a typed struct of them. It prints the default
//! key first and bare, then the others in the order they are declared: alphabetical, as clients
//! that compare strings expect.

/// Splits a property string into its pairs. A bare value belongs to `default_key`.
pub fn split(text: &str, default_key: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (key, value) = match (part.split_once('='), default_key) {
            (Some((key, value)), _) => (key.trim(), value.trim()),
            (None, Some(key)) => (key, part),
            (None, None) => return Err(format!("'{part}' should be written key=value")),
        };
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(format!("'{key}' is given twice"));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

/// Takes the value of `key` out of `pairs` and parses it.
pub fn take<T: crate::field::Field>(
    pairs: &mut Vec<(String, String)>,
    key: &str,
) -> Result<Option<T>, String> {
    let Some(place) = pairs.iter().position(|(known, _)| known == key) else {
        return Ok(None);
    };
    let (_, value) = pairs.remove(place);
    T::parse(&value)
        .map(Some)
        .map_err(|text| format!("{key}: {text}"))
}

/// Refuses pairs that nothing took.
pub fn refuse_rest(pairs: &[(String, String)], known: &[&str]) -> Result<(), String> {
    match pairs.first() {
        None => Ok(()),
        Some((key, _)) => Err(format!("'{key}' is none of: {}", known.join(", "))),
    }
}

/// Declares a property string as a struct: `default` or `required` first, then optional keys in
/// the order they are printed.
#[macro_export]
macro_rules! propstring {
    // The first key may stand bare.
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(#[$fmeta:meta])+ default $first:ident $fkey:literal : $fty:ty ,
            $( $(#[$ometa:meta])+ $field:ident $key:literal : $ty:ty ,)*
        }
    ) => {
        $crate::propstring!(@make [Some($fkey)] [""] $(#[$meta])* $name
            [$(#[$fmeta])+ $first $fkey $fty] [$($(#[$ometa])+ $field $key $ty),*]);
    };
    // The first key must be there, written `key=value`.
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(#[$fmeta:meta])+ required $first:ident $fkey:literal : $fty:ty ,
            $( $(#[$ometa:meta])+ $field:ident $key:literal : $ty:ty ,)*
        }
    ) => {
        $crate::propstring!(@make [None] [concat!($fkey, "=")] $(#[$meta])* $name
            [$(#[$fmeta])+ $first $fkey $fty] [$($(#[$ometa])+ $field $key $ty),*]);
    };
    (@make [$default:expr] [$prefix:expr] $(#[$meta:meta])* $name:ident
        [$(#[$fmeta:meta])+ $first:ident $fkey:literal $fty:ty]
        [$($(#[$ometa:meta])+ $field:ident $key:literal $ty:ty),*]
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $(#[$fmeta])+ pub $first: $fty,
            $( $(#[$ometa])+ pub $field: Option<$ty>, )*
        }

        impl $name {
            /// One with only its first key set.
            pub fn new($first: $fty) -> Self {
                Self { $first, $( $field: None, )* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                #[allow(unused_mut)]
                let mut pairs = $crate::propstring::split(text, $default)?;
                let $first = $crate::propstring::take::<$fty>(&mut pairs, $fkey)?;
                $( let $field = $crate::propstring::take::<$ty>(&mut pairs, $key)?; )*
                $crate::propstring::refuse_rest(&pairs, &[$fkey, $($key),*])?;
                let $first = $first.ok_or_else(|| concat!("'", $fkey, "' is missing").to_owned())?;
                Ok(Self { $first, $( $field, )* })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", $prefix, $crate::field::Field::print(&self.$first))?;
                $( if let Some(value) = &self.$field {
                    write!(f, ",{}={}", $key, $crate::field::Field::print(value))?;
                } )*
                Ok(())
            }
        }

        $crate::text_field!($name, stringify!($name), serde_json::json!({
            "type": "string",
            "x-typetext": concat!($prefix, "<", $fkey, ">" $(, "[,", $key, "=…]")*),
        }));
    };
}
