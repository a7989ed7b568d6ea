//! Directories that really run on loopback: here OpenLDAP's slapd, in the clear and by TLS; in
//! [`samba`] a domain controller of Active Directory.

#![allow(
    dead_code,
    reason = "the node's tests use it, too, and each only a part"
)]

mod certificates;
pub mod samba;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Password of `cn=reader`, who may search.
pub const READER_SECRET: &str = "reader-secret";

const SLAPD: &str = "/usr/sbin/slapd";

/// A running directory.
pub struct Slapd {
    process: Child,
    pub folder: tempfile::TempDir,
    address: IpAddr,
    /// Where it speaks LDAP, in the clear or after StartTLS.
    pub plain: u16,
    /// Where it speaks TLS from the first byte.
    pub tls: u16,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is in the directory at first. `ann` and `bob` are people; the password is NAME-secret.
const PEOPLE: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=reader,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=ann,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ann
cn: Ann Other
givenName: Ann
sn: Other
mail: ann@example.org
userPassword: ann-secret

dn: uid=Bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: Bob
cn: Bob
sn: Builder
userPassword: bob-secret

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=ops,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: ops
member: uid=Ann, OU=people,dc=example,dc=org
member: uid=nobody,dc=elsewhere
";

fn free_port(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Slapd {
    /// Starts one on 127.0.0.1, if the host has slapd; `anonymous` is whether anybody may search.
    pub fn start(anonymous: bool) -> Option<Self> {
        let address = Ipv4Addr::LOCALHOST.into();
        Self::start_at(address, address, anonymous)
    }

    /// Starts one on an address of this host, with a certificate for one that may be another.
    pub fn start_at(address: IpAddr, certified: IpAddr, anonymous: bool) -> Option<Self> {
        if !Path::new(SLAPD).exists() {
            eprintln!("skipped: {SLAPD} is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), certified, anonymous);
        let mut adding = Command::new("/usr/sbin/slapadd")
            .arg("-f")
            .arg(folder.path().join("slapd.conf"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = adding.stdin.take().unwrap();
        input.write_all(PEOPLE.as_bytes()).unwrap();
        drop(input);
        assert!(adding.wait().unwrap().success());
        let (plain, tls) = (free_port(address), free_port(address));
        let process = spawn(folder.path(), address, plain, tls);
        let mut slapd = Self {
            process,
            folder,
            address,
            plain,
            tls,
        };
        slapd.wait();
        Some(slapd)
    }

    /// Stops it, changes the directory with an LDIF for `slapmodify`, and starts it again.
    pub fn modify(&mut self, ldif: &str) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut modifying = Command::new("/usr/sbin/slapmodify")
            .arg("-f")
            .arg(self.folder.path().join("slapd.conf"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = modifying.stdin.take().unwrap();
        input.write_all(ldif.as_bytes()).unwrap();
        drop(input);
        assert!(modifying.wait().unwrap().success());
        self.process = spawn(self.folder.path(), self.address, self.plain, self.tls);
        self.wait();
    }

    /// The file of the authority that signed its certificate.
    pub fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn wait(&mut self) {
        while TcpStream::connect((self.address, self.tls)).is_err()
            || TcpStream::connect((self.address, self.plain)).is_err()
        {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "slapd ended: {ended:?}");
            std::thread::yield_now();
        }
    }
}

fn spawn(folder: &Path, address: IpAddr, plain: u16, tls: u16) -> Child {
    let [plain, tls] = [plain, tls].map(|port| SocketAddr::new(address, port));
    Command::new(SLAPD)
        .args(["-d", "0", "-f"])
        .arg(folder.join("slapd.conf"))
        .arg("-h")
        .arg(format!("ldap://{plain}/ ldaps://{tls}/"))
        .spawn()
        .unwrap()
}

fn configure(folder: &Path, certified: IpAddr, anonymous: bool) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    certificates::write(folder, &certified.to_string());
    std::fs::create_dir(folder.join("data")).unwrap();
    let everybody = if anonymous { "read" } else { "none" };
    let at = folder.display();
    let schema = ["core", "cosine", "nis", "inetorgperson"]
        .map(|name| format!("include /etc/ldap/schema/{name}.schema\n"))
        .concat();
    let config = format!(
        "{schema}pidfile {at}/slapd.pid\nargsfile {at}/slapd.args\nmodulepath /usr/lib/ldap\n\
         moduleload back_mdb\nTLSCACertificateFile {at}/ca.pem\n\
         TLSCertificateFile {at}/server.pem\nTLSCertificateKeyFile {at}/server.key\n\
         database mdb\nsuffix dc=example,dc=org\nrootdn cn=root,dc=example,dc=org\n\
         directory {at}/data\nmaxsize 16777216\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=cn=reader,dc=example,dc=org read by * {everybody}\n"
    );
    write("slapd.conf", &config);
}
