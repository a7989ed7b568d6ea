//! What one declared method is made of, and the macro that declares a module of them.

use crate::Result;
use crate::bag::Bag;
use crate::permission::Permission;
use crate::wire::Wire;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// An HTTP verb that a method can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads.
    Get,
    /// Creates or starts something.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Verb {
    /// The verb on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        }
    }

    /// Reads the verb on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        [Verb::Get, Verb::Post, Verb::Put, Verb::Delete]
            .into_iter()
            .find(|v| v.as_str() == text)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a method answers, and what its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers when all is done.
    Sync,
    /// Answers a UPID at once; the work goes on as a task.
    Task,
    /// Reads a multipart body of any size; answers a UPID.
    Upload,
    /// Turns the connection into a websocket.
    Console,
}

/// The declaration of one method, apart from its types.
#[derive(Debug)]
pub struct Method {
    /// Name of the declaration, e.g. `VmStart`.
    pub name: &'static str,
    /// HTTP verb.
    pub verb: Verb,
    /// Path template below `/api2/json`, e.g. `/nodes/{node}/qemu/{vmid}/status/start`.
    pub path: &'static str,
    /// What the caller must be allowed to.
    pub permission: Permission,
    /// How it answers.
    pub kind: Kind,
    /// Words of the command, e.g. `vm start`; none when only `basalt api` reaches it.
    pub cli: Option<&'static str>,
    /// Documentation: the first line is the summary.
    pub doc: &'static str,
}

impl Method {
    /// The first line of the documentation.
    pub fn summary(&self) -> &'static str {
        self.doc.trim().lines().next().unwrap_or("").trim()
    }

    /// The whole documentation without the comment's indentation.
    pub fn description(&self) -> String {
        let lines: Vec<&str> = self.doc.trim().lines().map(str::trim).collect();
        lines.join("\n")
    }

    /// Names of the placeholders in the path, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether the node named in the path must do it, rather than any.
    pub fn runs_on_named_node(&self) -> bool {
        self.path.starts_with("/nodes/{node}/")
    }
}

/// One API method: the types that go with its [`Method`].
pub trait Endpoint: Send + Sync + 'static {
    /// Path, query and body parameters, merged.
    type Params: DeserializeOwned + Serialize + JsonSchema + Send;
    /// What goes into `data`.
    type Output: Serialize + JsonSchema + Send;
    /// The declaration.
    const METHOD: &'static Method;

    /// Reads the parameters; `schema` is [`crate::schema::params`] of the declaration.
    ///
    /// Implemented by [`endpoints!`](crate::endpoints), as is [`Endpoint::write`], so that what serde
    /// makes of the types is compiled with the declarations, once.
    fn read(schema: &Value, bag: Bag) -> Result<Self::Params>;

    /// Encodes what goes into `data`.
    fn write(output: &Self::Output) -> Result<Wire>;
}

/// The result of a method with what goes beside `data`.
#[derive(Debug)]
pub struct Reply<T> {
    /// What goes into `data`.
    pub data: T,
    /// Number of entries there are in all, for lists that are read in pages.
    pub total: Option<u64>,
}

impl<T> Reply<T> {
    /// One page out of `total` entries.
    pub fn page(data: T, total: u64) -> Self {
        Self {
            data,
            total: Some(total),
        }
    }
}

impl<T> From<T> for Reply<T> {
    fn from(data: T) -> Self {
        Self { data, total: None }
    }
}

/// Declares the methods of a module, and `DECLARED`, their list.
///
/// ```ignore
/// endpoints! {
///     /// Starts the virtual machine.
///     VmStart: Post "/nodes/{node}/qemu/{vmid}/status/start" {
///         params: VmPath,
///         output: Upid,
///         permission: perm("/vms/{vmid}", &[VmPowerMgmt]),
///         kind: Task,
///         cli: "vm start",
///     }
/// }
/// ```
/// `kind` is `Sync` and `cli` is none unless said.
#[macro_export]
macro_rules! endpoints {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $verb:ident $path:literal {
            params: $params:ty,
            output: $output:ty,
            permission: $permission:expr,
            $(kind: $kind:ident,)?
            $(cli: $cli:literal,)?
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub struct $name;

            impl $crate::endpoint::Endpoint for $name {
                type Params = $params;
                type Output = $output;
                const METHOD: &'static $crate::endpoint::Method = &$crate::endpoint::Method {
                    name: stringify!($name),
                    verb: $crate::endpoint::Verb::$verb,
                    path: $path,
                    permission: $permission,
                    kind: $crate::endpoints!(@kind $($kind)?),
                    cli: $crate::endpoints!(@cli $($cli)?),
                    doc: concat!($($doc, "\n"),+),
                };

                fn read(
                    schema: &::serde_json::Value,
                    bag: $crate::bag::Bag,
                ) -> $crate::Result<Self::Params> {
                    $crate::coerce::params(schema, bag)
                }

                fn write(output: &Self::Output) -> $crate::Result<$crate::wire::Wire> {
                    $crate::wire::Wire::of(output).map_err($crate::Error::failed)
                }
            }
        )+

        /// The methods of this module.
        pub const DECLARED: &[$crate::registry::Declaration] =
            &[$($crate::registry::Declaration::of::<$name>()),+];
    };
    (@kind) => { $crate::endpoint::Kind::Sync };
    (@kind $kind:ident) => { $crate::endpoint::Kind::$kind };
    (@cli) => { None };
    (@cli $cli:literal) => { Some($cli) };
}
