//! Signatures of EFI programs (Authenticode) by keys that only sign and never leave their token.
//!
//! "Windows Authenticode Portable Executable Signature Format" says what is hashed and how the
//! signature is kept: a PKCS#7 message behind the last section. No time is in it, so that equal
//! inputs give equal bits.

use super::{Error, Result};
use basalt_update::pe::SIGNATURES;
use sha2::{Digest, Sha256};
use std::path::Path;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where the checksum is in the optional header.
const CHECKSUM: usize = 64;
/// Where the size of all headers is in the optional header.
const HEADERS: usize = 60;
/// The optional header of a 64-bit program begins with it.
const MAGIC: [u8; 2] = [0x0b, 0x02];
/// A signature begins at a multiple of it.
const ALIGNMENT: usize = 8;

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
/// A constructed value with the tag 0 of its surroundings; others add their number.
pub(super) const TAGGED: u8 = 0xa0;

pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(super) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const INDIRECT_DATA: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];
const PE_IMAGE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0f];

/// Signs the EFI program `image`, which came from `path`. `key` makes an RSA signature (PKCS#1 1.5,
/// SHA-256) by the key of the certificate `der`.
pub fn sign(
    path: &Path,
    image: &[u8],
    der: &[u8],
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let malformed = |reason: &str| Error::Malformed {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let places =
        Places::find(image).ok_or_else(|| malformed("no EFI program without signature"))?;
    let mut signed = image.to_vec();
    signed.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    let digest = places
        .digest(&signed)
        .ok_or_else(|| malformed("its headers speak of more than there is"))?;
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| malformed(&format!("the certificate of the boot key: {error}")))?;
    let mut message = message(&digest, &certificate, der, key)?;
    message.resize(message.len().next_multiple_of(ALIGNMENT), 0);
    let too_large = |_| malformed("it is too large");
    let begin = u32::try_from(signed.len()).map_err(too_large)?;
    let length = u32::try_from(message.len() + 8).map_err(too_large)?;
    let directory = places.optional + SIGNATURES;
    signed[directory..directory + 4].copy_from_slice(&begin.to_le_bytes());
    signed[directory + 4..directory + 8].copy_from_slice(&length.to_le_bytes());
    // WIN_CERTIFICATE: its length, revision 2.0, and that it is PKCS#7.
    signed.extend(length.to_le_bytes());
    signed.extend([0x00, 0x02, 0x02, 0x00]);
    signed.extend(message);
    let at = places.optional + CHECKSUM;
    let sum = checksum(&signed, at);
    signed[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(signed)
}

/// Where things lie in the headers of a program.
struct Places {
    optional: usize,
    table: usize,
    sections: usize,
}

impl Places {
    fn find(image: &[u8]) -> Option<Self> {
        let header = number(image, 0x3c)?;
        if image.get(header..header.checked_add(4)?)? != b"PE\0\0" {
            return None;
        }
        let half =
            |at: usize| Some(usize::from(*image.get(at)?) | usize::from(*image.get(at + 1)?) << 8);
        let optional = header + 24;
        let places = Self {
            optional,
            table: optional + half(header + 20)?,
            sections: half(header + 6)?,
        };
        let directory = image.get(optional + SIGNATURES..optional + SIGNATURES + 8)?;
        let is_ours = image.get(optional..optional + 2)? == MAGIC
            && optional + SIGNATURES + 8 <= places.table
            && directory == [0; 8];
        is_ours.then_some(places)
    }

    /// The digest of what firmware looks at: headers without checksum and signature, the sections as
    /// they lie in the file, and what follows them.
    fn digest(&self, image: &[u8]) -> Option<[u8; 32]> {
        let headers = number(image, self.optional + HEADERS)?;
        let (checksum, directory) = (self.optional + CHECKSUM, self.optional + SIGNATURES);
        let mut hash = Sha256::new();
        hash.update(image.get(..checksum)?);
        hash.update(image.get(checksum + 4..directory)?);
        hash.update(image.get(directory + 8..headers)?);
        let mut sections = (0..self.sections)
            .map(|index| {
                let entry = self.table + 40 * index;
                Some((number(image, entry + 20)?, number(image, entry + 16)?))
            })
            .collect::<Option<Vec<_>>>()?;
        sections.retain(|(_, size)| *size > 0);
        sections.sort_unstable();
        let mut hashed = headers;
        for (begin, size) in sections {
            hash.update(image.get(begin..begin.checked_add(size)?)?);
            hashed += size;
        }
        hash.update(image.get(hashed..)?);
        Some(hash.finalize().into())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// The PKCS#7 message that says what the program's digest is, signed.
fn message(
    digest: &[u8; 32],
    certificate: &X509Certificate<'_>,
    der: &[u8],
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let algorithm = |id| value(SEQUENCE, &[&value(OBJECT, &[id]), &[0x05, 0x00]]);
    let content = content(digest, &algorithm(SHA256));
    let attribute = |id, set: &[u8]| value(SEQUENCE, &[&value(OBJECT, &[id]), &value(SET, &[set])]);
    // The digest is that of the content without its own tag and length.
    let inner: [u8; 32] = Sha256::digest(content.concat()).into();
    let attributes = [
        attribute(CONTENT_TYPE, &value(OBJECT, &[INDIRECT_DATA])),
        attribute(MESSAGE_DIGEST, &value(OCTETS, &[&inner])),
    ]
    .concat();
    let signature = key(&value(SET, &[&attributes]))?;
    let serial = value(INTEGER, &[certificate.raw_serial()]);
    let signer = value(
        SEQUENCE,
        &[
            &value(INTEGER, &[&[1]]),
            &value(SEQUENCE, &[certificate.issuer().as_raw(), &serial]),
            &algorithm(SHA256),
            &value(TAGGED, &[&attributes]),
            &algorithm(RSA),
            &value(OCTETS, &[&signature]),
        ],
    );
    let content = value(SEQUENCE, &[&content[0], &content[1]]);
    let data = value(
        SEQUENCE,
        &[
            &value(INTEGER, &[&[1]]),
            &value(SET, &[&algorithm(SHA256)]),
            &value(
                SEQUENCE,
                &[
                    &value(OBJECT, &[INDIRECT_DATA]),
                    &value(TAGGED, &[&content]),
                ],
            ),
            &value(TAGGED, &[der]),
            &value(SET, &[&signer]),
        ],
    );
    let id = value(OBJECT, &[SIGNED_DATA]);
    Ok(value(SEQUENCE, &[&id, &value(TAGGED, &[&data])]))
}

/// What is signed, `SpcIndirectDataContent`: that it is a program, and its digest.
fn content(digest: &[u8; 32], algorithm: &[u8]) -> [Vec<u8>; 2] {
    // No page hashes, and a file name that nobody reads.
    let name: Vec<u8> = "<<<Obsolete>>>"
        .bytes()
        .flat_map(|byte| [0, byte])
        .collect();
    let link = value(TAGGED, &[&value(TAGGED + 2, &[&value(0x80, &[&name])])]);
    let image = value(SEQUENCE, &[&value(BIT_STRING, &[&[0]]), &link]);
    [
        value(SEQUENCE, &[&value(OBJECT, &[PE_IMAGE]), &image]),
        value(SEQUENCE, &[algorithm, &value(OCTETS, &[digest])]),
    ]
}

/// A value in DER: tag, length, content.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let bytes = content.len().to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..0x80) => out.push(short),
        _ => {
            // At most eight bytes of length.
            out.push(0x80 | significant.len() as u8);
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}

/// The sum of all 16-bit words but those of the checksum itself, and the length.
fn checksum(image: &[u8], at: usize) -> u32 {
    let mut sum = 0_u32;
    for (index, pair) in image.chunks(2).enumerate() {
        let word = u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8;
        if index != at / 2 && index != at / 2 + 1 {
            sum += word;
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    // No program is as large as 4 GiB: its headers count in 32 bits.
    sum + image.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_can_be() {
        assert_eq!(value(OCTETS, &[&[1], &[2]]), [4, 2, 1, 2]);
        assert_eq!(value(OCTETS, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(value(OCTETS, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(value(OCTETS, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn only_programs_without_signature_are_signed() {
        let refuse = |image: &[u8]| {
            let none = |_: &[u8]| -> Result<Vec<u8>> { panic!("it must not come so far") };
            sign(Path::new("x.efi"), image, &[], none).unwrap_err()
        };
        for image in [&b""[..], b"MZ", &[0xff; 4096]] {
            let error = refuse(image).to_string();
            assert!(error.contains("no EFI program"), "{error}");
        }
    }
}
