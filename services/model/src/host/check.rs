//! What texts of a host's configuration may be; each is given back as it is kept.

pub(super) fn hostname(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 64 || !name.split('.').all(label_is_good) {
        return Err(format!(
            "`{text}` is no host name: letters, digits and `-`, labels separated by `.`, \
             64 characters at most"
        ));
    }
    if name
        .split('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(format!("`{text}` is no host name: it must not be a number"));
    }
    if name == "localhost" {
        return Err("`localhost` is every host's name; choose another".to_owned());
    }
    Ok(name)
}

pub(super) fn search_domain(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label_is_good) {
        Ok(name)
    } else {
        Err(format!("`{text}` is no domain, as `example.org`"))
    }
}

pub(super) fn time_zone(text: &str) -> Result<String, String> {
    let part_is_good = |part: &str| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    if text.len() <= 64 && text.split('/').all(part_is_good) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no time zone: expected a name such as `Europe/Berlin` or `UTC`"
        ))
    }
}

pub(super) fn keyboard(text: &str) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if (1..=32).contains(&text.len()) && text.bytes().all(letter) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is no keyboard: expected a name such as `us`, `de` or `fr`"
        ))
    }
}

pub(super) fn email(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no e-mail address, as `admin@example.org`");
    let (name, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"(),:;@[]\\".contains(c);
    let domain_is_good = domain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        && !domain.is_empty()
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-']);
    if text.len() <= 254 && !name.is_empty() && name.chars().all(plain) && domain_is_good {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

pub(super) fn password_hash(text: &str) -> Result<String, String> {
    let known = ["$y$", "$6$"].iter().any(|prefix| text.starts_with(prefix));
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"./$=,".contains(&b));
    // The text itself is kept out of the message: it may be a password put in the wrong field.
    if known && plain && text.len() <= 256 && text.matches('$').count() >= 3 {
        Ok(text.to_owned())
    } else {
        Err(
            "not a password hash: expected `$y$…` (yescrypt) or `$6$…` (SHA-512), \
             as `mkpasswd` prints it"
                .to_owned(),
        )
    }
}

pub(super) fn ssh_key(text: &str) -> Result<String, String> {
    let line = text.trim();
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    let known = ["ssh-ed25519", "ssh-rsa", "sk-ssh-ed25519@openssh.com"].contains(&kind)
        || kind.starts_with("ecdsa-sha2-nistp")
        || kind.starts_with("sk-ecdsa-sha2-nistp");
    let key_is_good = words.next().is_some_and(|key| {
        key.len() >= 40
            && key.starts_with("AAAA")
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    });
    if known && key_is_good && !line.contains(|c: char| c.is_control()) {
        Ok(line.to_owned())
    } else {
        Err("not an SSH public key: expected one line such as `ssh-ed25519 AAAA… name`".to_owned())
    }
}
