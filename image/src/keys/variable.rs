//! Authenticated variables of UEFI: the form in which a firmware is told of certificates.
//!
//! UEFI specification 2.10, sections 8.2.2 (`EFI_VARIABLE_AUTHENTICATION_2`) and 32.4.1
//! (`EFI_SIGNATURE_LIST`). Numbers are little-endian.

use time::OffsetDateTime;
use uuid::{Uuid, uuid};

/// Kept over power cycles, seen at boot and at run time, written only with a signature and its time.
const ATTRIBUTES: u32 = 0x27;
/// `EFI_CERT_X509_GUID`: a list of certificates.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// `EFI_CERT_TYPE_PKCS7_GUID`: a signature in PKCS#7.
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// `WIN_CERT_TYPE_EFI_GUID`.
const CERTIFICATE_TYPE: u16 = 0x0ef1;
/// `WIN_CERTIFICATE` as the specification has it.
const CERTIFICATE_REVISION: u16 = 0x0200;
/// Bytes of a `WIN_CERTIFICATE_UEFI_GUID` before its data.
const CERTIFICATE_HEADER: usize = 24;
/// Bytes of an `EFI_SIGNATURE_LIST` before its first entry.
const LIST_HEADER: usize = 28;

/// A variable that holds certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Whose variable it is.
    pub vendor: Uuid,
}

impl Variable {
    /// The platform key.
    pub const PK: Self = Self::global("PK");
    /// The key exchange keys.
    pub const KEK: Self = Self::global("KEK");
    /// What may boot.
    pub const DB: Self = Self {
        name: "db",
        vendor: uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f"),
    };

    const fn global(name: &'static str) -> Self {
        Self {
            name,
            vendor: uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c"),
        }
    }
}

/// A list that holds one certificate, given in DER.
pub fn certificate_list(certificate: &[u8], owner: Uuid) -> Vec<u8> {
    let entry = 16 + certificate.len();
    let mut list = X509.to_bytes_le().to_vec();
    list.extend(length(LIST_HEADER + entry));
    list.extend(length(0));
    list.extend(length(entry));
    list.extend(owner.to_bytes_le());
    list.extend(certificate);
    list
}

/// A certificate is some kilobytes at most; what it would not fit into no firmware would take.
fn length(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// A new content of a variable.
pub struct Update<'a> {
    /// Which one.
    pub variable: Variable,
    /// When it was signed; a firmware takes no older content over a newer one.
    pub time: OffsetDateTime,
    /// The content.
    pub content: &'a [u8],
}

impl Update<'_> {
    /// What the signature covers.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .variable
            .name
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        bytes.extend(self.variable.vendor.to_bytes_le());
        bytes.extend(ATTRIBUTES.to_le_bytes());
        bytes.extend(self.timestamp());
        bytes.extend(self.content);
        bytes
    }

    /// The whole update, as it is given to the firmware.
    pub fn with_signature(&self, pkcs7: &[u8]) -> Vec<u8> {
        let signature = without_content_info(pkcs7).unwrap_or(pkcs7);
        let mut bytes = self.timestamp().to_vec();
        bytes.extend(length(CERTIFICATE_HEADER + signature.len()));
        bytes.extend(CERTIFICATE_REVISION.to_le_bytes());
        bytes.extend(CERTIFICATE_TYPE.to_le_bytes());
        bytes.extend(PKCS7.to_bytes_le());
        bytes.extend(signature);
        bytes.extend(self.content);
        bytes
    }

    /// An `EFI_TIME` in which all but the date and the time of day is zero, as it has to be here.
    fn timestamp(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // No clock shows a year before Christ.
        let year = u16::try_from(self.time.year()).unwrap_or_default();
        bytes[..2].copy_from_slice(&year.to_le_bytes());
        let (hour, minute, second) = self.time.to_hms();
        let rest = [
            self.time.month().into(),
            self.time.day(),
            hour,
            minute,
            second,
        ];
        bytes[2..7].copy_from_slice(&rest);
        bytes
    }
}

/// The `SignedData` inside a PKCS#7 `ContentInfo`. The specification asks for the bare one, and some
/// firmware takes nothing else.
fn without_content_info(pkcs7: &[u8]) -> Option<&[u8]> {
    const SIGNED_DATA: [u8; 11] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02,
    ];
    let content = inside(pkcs7, 0x30)?;
    inside(content.strip_prefix(&SIGNED_DATA)?, 0xa0)
}

/// The content of a DER element with this tag.
fn inside(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let join =
            |length: usize, digit: &u8| length.checked_mul(256)?.checked_add((*digit).into());
        (digits.iter().try_fold(0, join)?, rest)
    };
    (found == tag).then(|| rest.get(..length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn update(content: &[u8]) -> Update<'_> {
        Update {
            variable: Variable::DB,
            time: datetime!(2026-03-04 05:06:07 UTC),
            content,
        }
    }

    #[test]
    fn a_list_tells_its_sizes() {
        let list = certificate_list(b"der", Uuid::nil());
        assert_eq!(list.len(), 28 + 16 + 3);
        assert_eq!(list[..4], [0xa1, 0x59, 0xc0, 0xa5]);
        assert_eq!(list[16..20], 47_u32.to_le_bytes());
        assert_eq!(list[24..28], 19_u32.to_le_bytes());
        assert!(list.ends_with(b"der"));
    }

    #[test]
    fn the_signature_covers_name_vendor_attributes_time_and_content() {
        let bytes = update(b"content").signed_bytes();
        assert_eq!(bytes[..4], *b"d\0b\0");
        assert_eq!(bytes[4..8], [0xcb, 0xb2, 0x19, 0xd7]);
        assert_eq!(bytes[20..24], [0x27, 0, 0, 0]);
        assert_eq!(bytes[24..32], [0xea, 0x07, 3, 4, 5, 6, 7, 0]);
        assert_eq!(bytes[40..], *b"content");
    }

    #[test]
    fn the_signature_stands_between_time_and_content() {
        let wrapped = [
            &[0x30, 0x0f][..],
            &[
                0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02,
            ],
            &[0xa0, 0x02, 0x05, 0x00],
        ]
        .concat();
        let bytes = update(b"content").with_signature(&wrapped);
        assert_eq!(bytes[16..20], 26_u32.to_le_bytes());
        assert_eq!(bytes[40..42], [0x05, 0x00]);
        assert_eq!(bytes[42..], *b"content");
    }

    #[test]
    fn der_that_is_cut_off_is_not_unwrapped() {
        assert_eq!(without_content_info(&[0x30, 0x82, 0xff]), None);
        assert_eq!(inside(&[0x30, 0x81, 0x02, 1, 2], 0x30), Some(&[1, 2][..]));
    }
}
