//! qcow2 images with the images below them, by the crate `imago`.
//!
//! Operations are carried out at once, on the device's thread. `imago` keeps metadata in memory
//! and writes reference counts before what refers to them, so an image whose process is killed has
//! clusters that nothing uses at worst; a flush writes everything.

use std::io;
use std::os::fd::BorrowedFd;

use basalt_model::disk::ImageFormat;
use imago::format::PreallocateMode;
use imago::io_buffers::{IoVector, IoVectorMut};
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};

use super::raw::RawImage;
use super::storage::Opened;
use super::{Disk, Done, Operation, SECTOR, counts};

type Layer = FormatAccess<Opened>;

/// A qcow2 image at work.
pub struct Qcow2Disk {
    access: Layer,
    synchronous: bool,
    has_backing: bool,
    done: Vec<Done>,
}

impl Qcow2Disk {
    /// A disk on `image`, on top of `backing`, nearest first.
    pub fn new(
        image: &RawImage,
        backing: &[(ImageFormat, RawImage)],
        readonly: bool,
    ) -> io::Result<Self> {
        let mut below = None;
        for (format, image) in backing.iter().rev() {
            below = Some(match format {
                ImageFormat::Qcow2 => qcow2(image, below, false)?,
                ImageFormat::Raw if below.is_none() => raw(image)?,
                ImageFormat::Raw => {
                    return Err(io::Error::other("a raw image cannot lie on top of another"));
                }
            });
        }
        if !readonly {
            counts::check(image)?;
        }
        Ok(Self {
            access: qcow2(image, below, !readonly)?,
            synchronous: image.cache.is_synchronous(),
            has_backing: !backing.is_empty(),
            done: Vec::new(),
        })
    }

    fn execute(&mut self, operation: &Operation) -> io::Result<()> {
        match operation {
            Operation::Read { offset, into } => {
                let slices = into.slices();
                let (vector, _guard) = IoVectorMut::from_volatile_slice(&slices);
                self.access.readv(vector, *offset)
            }
            Operation::Write { offset, from } => {
                let slices = from.slices();
                let (vector, _guard) = IoVector::from_volatile_slice(&slices);
                self.access.writev(vector, *offset)?;
                self.settle()
            }
            Operation::Flush => self.write_out(),
            Operation::Discard { offset, len } => match self.access.discard_to_any(*offset, *len) {
                Err(error) if super::is_full(&error) => Err(error),
                // Discarding is advice.
                _ => Ok(()),
            },
            Operation::Zero { offset, len, unmap } => {
                match unmap {
                    true => self.access.discard_to_zero(*offset, *len)?,
                    false => self.access.write_zeroes(*offset, *len)?,
                }
                self.settle()
            }
        }
    }

    fn settle(&self) -> io::Result<()> {
        match self.synchronous {
            true => self.write_out(),
            false => Ok(()),
        }
    }

    fn write_out(&self) -> io::Result<()> {
        self.access.flush()?;
        self.access.sync()
    }
}

fn qcow2(image: &RawImage, below: Option<Layer>, write: bool) -> io::Result<Layer> {
    let expects = below.is_some();
    let opened = Opened::new(image.clone())?;
    let image = Qcow2::<Opened>::builder(opened)
        .write(write)
        .backing(below)
        .data_file(None)
        .open(DenyImplicitOpenGate::default())?;
    if image.requires_external_data_file() {
        return Err(io::Error::other("its data lies in another file"));
    }
    if image.implicit_backing_file().is_some() != expects {
        let problem = match expects {
            true => "it is given an image below it and names none",
            false => "it names an image below it, which is not given",
        };
        return Err(io::Error::other(problem));
    }
    Ok(FormatAccess::new(image))
}

fn raw(image: &RawImage) -> io::Result<Layer> {
    let opened = Opened::new(image.clone())?;
    let raw = Raw::builder(opened).open(DenyImplicitOpenGate::default())?;
    Ok(FormatAccess::new(raw))
}

impl Disk for Qcow2Disk {
    fn size(&self) -> u64 {
        self.access.size() / SECTOR * SECTOR
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        let result = self.execute(&operation);
        self.done.push(Done {
            tag,
            operation,
            result,
        });
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        done.append(&mut self.done);
    }

    fn pending(&self) -> usize {
        self.done.len()
    }

    fn wait(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.access.read(into, offset)
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        if size > self.access.size() {
            // What is new must not show an image below that is larger than this one was.
            let new = match self.has_backing {
                true => PreallocateMode::Zero,
                false => PreallocateMode::None,
            };
            self.access.resize_grow(size, new)?;
            self.write_out()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_out()
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
#[path = "qcow2_tests.rs"]
mod tests;
