//! Names of pools: guests and storages that permissions are given on together.

use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// So many levels a pool's name has at most.
const LEVELS: usize = 3;
/// So many bytes a pool's name has at most.
const LONGEST: usize = 255;

/// The name of a pool; with slashes, `parent/child`, it lies in another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(String);

impl PoolId {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pool that this one lies in.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// Whether this pool lies in `other`, at any depth.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Where permissions on the pool are given.
    pub fn acl_path(&self) -> String {
        format!("/pool/{}", self.0)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PoolId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let good = |part: &str| {
            let bytes = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(bytes)
        };
        let fits = text.len() <= LONGEST && text.split('/').count() <= LEVELS;
        if fits && text.split('/').all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no pool: use letters, digits, '.', '-' and '_', and '/' between at most \
             {LEVELS} levels"
        ))
    }
}

crate::text_field!(
    PoolId,
    "PoolId",
    json!({"type": "string", "format": "pool-id", "maxLength": LONGEST})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_nest_and_cannot_leave_their_place() {
        for good in ["a", "dev/web-1", "1/2_x/3.4"] {
            assert_eq!(good.parse::<PoolId>().unwrap().as_str(), good);
        }
        for bad in [
            "", "/a", "a/", "a//b", "..", "a/../b", ".a", "a b", "a/b/c/d",
        ] {
            assert!(bad.parse::<PoolId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pool_knows_where_it_lies() {
        let pool = |text: &str| text.parse::<PoolId>().unwrap();
        assert_eq!(pool("a/b").parent(), Some(pool("a")));
        assert_eq!(pool("a").parent(), None);
        assert!(pool("a/b/c").is_below(&pool("a")));
        assert!(!pool("ab").is_below(&pool("a")) && !pool("a").is_below(&pool("a")));
    }
}
