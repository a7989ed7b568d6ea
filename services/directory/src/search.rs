//! Finds users and groups.

use crate::{Client, Error, SUCCESS, limited};
use basalt_access::realms::{Entries, FoundGroup, FoundUser};
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Ldap, Scope, SearchEntry, dn_escape, ldap_escape};

/// Entries are fetched in pages of so many: servers refuse larger answers.
const PAGE: i32 = 500;
/// More entries than these are no directory of people, but an attack on memory.
const MOST: usize = 100_000;
/// Asks for no attribute at all (RFC 4511, section 4.5.1.8).
const NOTHING: &str = "1.1";
/// Where groups say who is in them: as DN, as DN, as plain name.
const MEMBERS: [&str; 3] = ["member", "uniqueMember", "memberUid"];

impl Client {
    /// The DN of the one entry that has a user's name. Where nobody may search, the DN is made of
    /// the attribute, the name and `base_dn`.
    pub(crate) async fn entry_of(
        &self,
        ldap: &mut Ldap,
        entries: &Entries,
        name: &str,
    ) -> Result<Option<String>, Error> {
        let filter = format!("({}={})", entries.user_attr, ldap_escape(name));
        let found = search(ldap, &entries.base_dn, Scope::Subtree, &filter, &[NOTHING]).await;
        let found = match (found, &self.directory.bind_dn) {
            (Ok(found), Some(_)) => found,
            (Err(error), Some(_)) => return Err(error),
            (Ok(found), None) if !found.is_empty() => found,
            (Ok(_) | Err(_), None) => {
                let (attribute, base) = (&entries.user_attr, &entries.base_dn);
                return Ok(Some(format!("{attribute}={},{base}", dn_escape(name))));
            }
        };
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.dn.clone())),
            several => {
                tracing::warn!(
                    name,
                    entries = several.len(),
                    "several entries have this name"
                );
                Ok(None)
            }
        }
    }

    /// Where users are: as configured, or where the server says that it begins.
    pub(crate) async fn base(&self, ldap: &mut Ldap) -> Result<String, Error> {
        if let Some(base) = self.directory.base_dn() {
            return Ok(base.to_owned());
        }
        let name = "defaultNamingContext";
        let root = search(ldap, "", Scope::Base, "(objectClass=*)", &[name]).await?;
        let base = root.first().and_then(|entry| value(entry, name));
        base.ok_or_else(|| {
            Error::Answer("the server does not say where it begins: set base_dn".into())
        })
    }

    pub(crate) async fn users(&self, ldap: &mut Ldap, base: &str) -> Result<Vec<FoundUser>, Error> {
        let (wanted, attr) = (&self.directory.users, self.directory.user_attr());
        let filter = all_of(&wanted.classes, wanted.filter.as_deref());
        let names: Vec<&str> = wanted.attributes.names().chain([attr]).collect();
        let found = search(ldap, base, Scope::Subtree, &filter, &names).await?;
        let user = |entry: SearchEntry| {
            let Some(name) = value(&entry, attr) else {
                tracing::warn!(dn = entry.dn, attr, "an entry without the user's name");
                return None;
            };
            Some(FoundUser {
                name,
                fields: wanted.attributes.describe(|name| value(&entry, name)),
                dn: entry.dn,
            })
        };
        Ok(found.into_iter().filter_map(user).collect())
    }

    pub(crate) async fn groups(
        &self,
        ldap: &mut Ldap,
        base: &str,
    ) -> Result<Vec<FoundGroup>, Error> {
        let wanted = &self.directory.groups;
        let base = wanted.base.as_deref().unwrap_or(base);
        let filter = all_of(&wanted.classes, wanted.filter.as_deref());
        let names: Vec<&str> = wanted
            .name_attr
            .as_deref()
            .into_iter()
            .chain(MEMBERS)
            .collect();
        let found = search(ldap, base, Scope::Subtree, &filter, &names).await?;
        let mut groups = Vec::new();
        for entry in found {
            // Active Directory shows members in parts when there are many. Half a group would take
            // permissions away from the other half.
            if entry
                .attrs
                .keys()
                .any(|name| name.to_ascii_lowercase().starts_with("member;range="))
            {
                let text = format!(
                    "'{}' has more members than the server shows at once",
                    entry.dn
                );
                return Err(Error::Answer(text));
            }
            let name = match &wanted.name_attr {
                Some(attr) => value(&entry, attr),
                None => first_name(&entry.dn),
            };
            let Some(name) = name else {
                tracing::warn!(dn = entry.dn, "a group without a name");
                continue;
            };
            let members = MEMBERS
                .iter()
                .flat_map(|name| values(&entry, name))
                .cloned()
                .collect();
            groups.push(FoundGroup { name, members });
        }
        Ok(groups)
    }
}

/// Every entry that fits.
async fn search(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
) -> Result<Vec<SearchEntry>, Error> {
    let attributes: Vec<String> = attributes.iter().map(|name| (*name).to_owned()).collect();
    let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(PAGE)),
    ];
    let mut stream = limited(ldap)
        .streaming_search_with(adapters, base, scope, filter, attributes)
        .await?;
    let mut entries = Vec::new();
    while let Some(entry) = stream.next().await? {
        if entries.len() == MOST {
            return Err(Error::Answer(format!(
                "the server shows more than {MOST} entries"
            )));
        }
        entries.push(SearchEntry::construct(entry));
    }
    let end = stream.finish().await;
    match end.rc {
        SUCCESS => Ok(entries),
        _ => Err(Error::Answer(format!("searching '{base}': {end}"))),
    }
}

/// A filter of any of these object classes, and another one.
fn all_of(classes: &[String], filter: Option<&str>) -> String {
    let classes: String = classes
        .iter()
        .map(|name| format!("(objectClass={name})"))
        .collect();
    format!("(&(|{classes}){})", filter.unwrap_or_default())
}

/// The values of an attribute, whose name is without case.
fn values<'a>(entry: &'a SearchEntry, name: &str) -> impl Iterator<Item = &'a String> {
    let found = entry
        .attrs
        .iter()
        .filter(move |(known, _)| known.eq_ignore_ascii_case(name));
    let values: Vec<&String> = found.flat_map(|(_, values)| values).collect();
    values.into_iter()
}

fn value(entry: &SearchEntry, name: &str) -> Option<String> {
    values(entry, name).find(|value| !value.is_empty()).cloned()
}

/// The value of the first part of a DN, without its escapes.
fn first_name(dn: &str) -> Option<String> {
    let (_, rest) = dn.split_once('=')?;
    let (mut name, mut letters) = (String::new(), rest.chars());
    while let Some(letter) = letters.next() {
        match letter {
            ',' | '+' => break,
            '\\' => name.extend(letters.next()),
            other => name.push(other),
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_names_are_as_written() {
        let classes = ["person".to_owned(), "user".to_owned()];
        let expected = "(&(|(objectClass=person)(objectClass=user))(a=b))";
        assert_eq!(all_of(&classes, Some("(a=b)")), expected);
        assert_eq!(first_name("cn=ops,dc=x").as_deref(), Some("ops"));
        assert_eq!(first_name(r"cn=a\,b,dc=x").as_deref(), Some("a,b"));
        assert_eq!(first_name("nonsense"), None);
    }
}
