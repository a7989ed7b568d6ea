use super::*;

#[test]
fn host_config_survives_json() {
    let text = r#"{
        "hostname": "Node1.example.org",
        "network": {"bridge": "vmbr0", "port": {"mac": "52:54:00:AA:bb:01"},
            "addressing": {"static": {"address": "192.0.2.10/24", "gateway": "192.0.2.1"}}},
        "timezone": "Europe/Berlin",
        "root_password_hash": "$6$salt$hash"
    }"#;
    let config: HostConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.hostname.as_str(), "node1.example.org");
    assert_eq!(config.hostname.short(), "node1");
    let again = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<HostConfig>(&again).unwrap(), config);
    let fallback = serde_json::to_string(&HostConfig::fallback()).unwrap();
    assert_eq!(
        serde_json::from_str::<HostConfig>(&fallback).unwrap(),
        HostConfig::fallback()
    );
}

#[test]
fn values_are_checked() {
    for name in [
        "",
        "-a",
        "a-",
        "a..b",
        "a_b",
        "123",
        "localhost",
        &"x".repeat(64),
    ] {
        assert!(name.parse::<Hostname>().is_err(), "{name}");
    }
    for zone in ["", "/etc/passwd", "../x", "Europe/", "a b"] {
        assert!(zone.parse::<TimeZone>().is_err(), "{zone}");
    }
    for keyboard in ["", "../de", "-x", "d e"] {
        assert!(keyboard.parse::<Keyboard>().is_err(), "{keyboard}");
    }
    for email in [
        "", "a", "a@", "@b", "a b@c", "a@b c", "a@.c", "a@@b", "<a@b>",
    ] {
        assert!(email.parse::<Email>().is_err(), "{email}");
    }
    assert!("admin+x@mail.example.org".parse::<Email>().is_ok());
    for hash in ["", "secret", "$1$a$b", "$6$a", "$6$a$b:c", "$6$a$b\n"] {
        assert!(hash.parse::<PasswordHash>().is_err(), "{hash}");
    }
    for mac in [
        "",
        "52:54:00:12:34",
        "01:00:5e:00:00:01",
        "52:54:00:12:34:5g",
        "0:1:2:3:4:5",
    ] {
        assert!(mac.parse::<MacAddress>().is_err(), "{mac}");
    }
    for address in [
        "192.0.2.1",
        "192.0.2.1/33",
        "192.0.2/24",
        "0.0.0.0/8",
        "::1/64",
        "x/8",
    ] {
        assert!(address.parse::<InterfaceAddress>().is_err(), "{address}");
    }
    let key = format!("ssh-ed25519 AAAA{} me", "x".repeat(64));
    assert_eq!(key.parse::<SshPublicKey>().unwrap().as_str(), key);
    for bad in [
        "",
        "ssh-ed25519",
        "command=\"x\" ssh-ed25519 AAAA",
        "ssh-ed25519 BBBB",
    ] {
        assert!(bad.parse::<SshPublicKey>().is_err(), "{bad}");
    }
}

#[test]
fn a_network_knows_its_neighbours() {
    let address: InterfaceAddress = "192.0.2.10/26".parse().unwrap();
    assert!(address.contains(&"192.0.2.1".parse().unwrap()));
    assert!(!address.contains(&"192.0.2.65".parse().unwrap()));
    assert!(!address.contains(&"2001:db8::1".parse().unwrap()));
}
