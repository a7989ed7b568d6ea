//! Reading sections out of a unified kernel image (a PE file).

use anyhow::{Context, Result, bail};

/// The content of the section `name` (for example `.linux`) of a PE image.
pub fn section<'a>(image: &'a [u8], name: &str) -> Result<&'a [u8]> {
    let header = u32_at(image, 0x3c)? as usize;
    if image.get(header..header + 4) != Some(b"PE\0\0") {
        bail!("not a PE image");
    }
    let count = usize::from(u16_at(image, header + 6)?);
    let optional = usize::from(u16_at(image, header + 20)?);
    let table = header + 24 + optional;
    for index in 0..count {
        let entry = table + index * 40;
        let stored = image
            .get(entry..entry + 8)
            .context("cut off in the section table")?;
        if stored.split(|&byte| byte == 0).next() == Some(name.as_bytes()) {
            // The raw size is padded to the file alignment; the virtual size is exact.
            let size = u32_at(image, entry + 8)?.min(u32_at(image, entry + 16)?) as usize;
            let start = u32_at(image, entry + 20)? as usize;
            return image
                .get(start..start + size)
                .context("cut off inside a section");
        }
    }
    bail!("no section {name}")
}

fn u32_at(image: &[u8], at: usize) -> Result<u32> {
    let bytes = image.get(at..at + 4).context("cut off")?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn u16_at(image: &[u8], at: usize) -> Result<u16> {
    let bytes = image.get(at..at + 2).context("cut off")?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x200];
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = 1;
        let entry = 0x40 + 24;
        image[entry..entry + 6].copy_from_slice(b".linux");
        image[entry + 8] = 3;
        image[entry + 16] = 16;
        image[entry + 20..entry + 22].copy_from_slice(&0x1f0_u16.to_le_bytes());
        image[0x1f0..0x1f3].copy_from_slice(b"abc");
        image
    }

    #[test]
    fn finds_a_section_without_its_padding() {
        assert_eq!(section(&image(), ".linux").unwrap(), b"abc");
    }

    #[test]
    fn refuses_what_is_no_image_or_lacks_the_section() {
        assert!(section(b"short", ".linux").is_err());
        assert!(
            section(&image(), ".initrd")
                .unwrap_err()
                .to_string()
                .contains(".initrd")
        );
    }
}
