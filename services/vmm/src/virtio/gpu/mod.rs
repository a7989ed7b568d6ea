//! Virtio GPU (virtio 1.2, section 5.7) with one screen and flat pictures.
//!
//! The driver makes pictures ([`resources`]), copies into them from its memory, and shows one on
//! the [`Screen`]. Everything it says is checked, and what it can make the host hold is bounded.

mod edid;
mod protocol;
mod resources;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::Chain;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind, Registers};
use crate::display::canvas::Cursor;
use crate::display::{Area, Resize, Screen};
use crate::event::Signal;
use crate::machine::memory::Memory;
use serde::{Deserialize, Serialize};

use protocol::{Answer, ENTRY, Failure, HEAD, LONGEST, Request};
use resources::Resources;

/// Bytes before the list of memory entries of a request to attach.
const ATTACH: usize = HEAD + 8;
const F_EDID: u64 = 1 << 1;
const EVENT_DISPLAY: u32 = 1;
/// The size a screen wants until somebody asks for another.
const DEFAULT_SIZE: (u32, u32) = (1280, 800);
/// The only size of pointers (section 5.7.6.8).
const CURSOR_SIDE: u32 = 64;

/// What the transport needs to know.
pub fn description() -> Description {
    Description {
        kind: Kind::Gpu,
        features: F_EDID,
        queues: vec![256, 16],
        config: vec![0; 16],
    }
}

/// The viewers' side of the device: what size they want.
pub struct Wishes {
    size: Mutex<(u32, u32)>,
    asked: Signal,
    events: AtomicU32,
}

impl Wishes {
    fn size(&self) -> (u32, u32) {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resize for Wishes {
    fn resize(&self, width: u32, height: u32) {
        // What the screen's description can express, in steps that timings are made of.
        let side = |pixels: u32| (pixels & !7).clamp(64, edid::MAX_SIDE);
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = (side(width), side(height));
        self.asked.raise();
    }
}

/// The configuration (section 5.7.4): events, acknowledged by writing them back; one screen.
impl Registers for Wishes {
    fn read(&self, offset: usize, data: &mut [u8]) {
        let mut all = [0; 16];
        all[..4].copy_from_slice(&self.events.load(Ordering::Acquire).to_le_bytes());
        all[8] = 1;
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = all.get(offset + i).copied().unwrap_or(0);
        }
    }

    fn write(&self, offset: usize, data: &[u8]) {
        if let (4, Some(bytes)) = (offset, data.first_chunk::<4>()) {
            let seen = u32::from_le_bytes(*bytes);
            self.events.fetch_and(!seen, Ordering::AcqRel);
        }
    }
}

/// The device.
pub struct Gpu {
    screen: Arc<Screen>,
    wishes: Arc<Wishes>,
    resources: Resources,
    /// The picture that is shown, and which part of it.
    shown: Option<(u32, Area)>,
    /// The picture that is the pointer's shape, and the pixel that points.
    cursor: Option<(u32, (u32, u32))>,
}

/// What is kept of the device while the machine stands still.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    size: (u32, u32),
    events: u32,
    resources: Vec<resources::Kept>,
    shown: Option<(u32, [u32; 4])>,
    cursor: Option<(u32, (u32, u32))>,
}

impl Gpu {
    /// A device in front of `screen`.
    pub fn new(screen: Arc<Screen>) -> io::Result<Self> {
        let wishes = Wishes {
            size: Mutex::new(DEFAULT_SIZE),
            asked: Signal::new()?,
            events: AtomicU32::new(0),
        };
        Ok(Self {
            screen,
            wishes: Arc::new(wishes),
            resources: Resources::default(),
            shown: None,
            cursor: None,
        })
    }

    /// The viewers' side.
    pub fn wishes(&self) -> Arc<Wishes> {
        self.wishes.clone()
    }

    fn serve(&mut self, memory: &Memory, mut chain: Chain) -> usize {
        let mut request = [0; LONGEST];
        let len = chain.readable.read(memory, &mut request);
        let request = &request[..len];
        let result = match protocol::parse(request) {
            Some(Request::Attach { resource, entries }) => {
                self.attach(memory, &mut chain, resource, entries)
            }
            Some(request) => self.carry_out(memory, request),
            None => Err(Failure::Unspecified),
        };
        if let Err(failure) = result {
            tracing::debug!(?failure, "the display driver is refused");
        }
        // Pointers' requests have no room for an answer.
        let answer = protocol::answer(request, &result);
        chain.writable.write(memory, &answer)
    }

    fn attach(
        &mut self,
        memory: &Memory,
        chain: &mut Chain,
        resource: u32,
        entries: u32,
    ) -> Result<Answer, Failure> {
        let entries = entries as usize;
        if !self.resources.has_room_for(entries) {
            return Err(Failure::OutOfMemory);
        }
        let mut list = vec![0; entries * ENTRY];
        chain
            .readable
            .take_front(ATTACH)
            .ok_or(Failure::Parameter)?;
        if chain.readable.read(memory, &mut list) < list.len() {
            return Err(Failure::Parameter);
        }
        self.resources
            .attach(resource, resources::pieces(&list))
            .map(|()| Answer::Done)
    }

    fn carry_out(&mut self, memory: &Memory, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::DisplayInfo => {
                let (width, height) = self.wishes.size();
                return Ok(Answer::Display { width, height });
            }
            Request::Edid { scanout: 0 } => {
                let (width, height) = self.wishes.size();
                return Ok(Answer::Edid(Box::new(edid::block(width, height))));
            }
            Request::Edid { .. } => return Err(Failure::Scanout),
            Request::Create {
                resource,
                format,
                width,
                height,
            } => self.resources.create(resource, format, width, height)?,
            Request::Unref { resource } => {
                self.resources.remove(resource)?;
                if self.is_shown(resource) {
                    self.darken();
                }
            }
            Request::SetScanout {
                area,
                scanout,
                resource,
            } => self.set_scanout(area, scanout, resource)?,
            Request::Flush { area, resource } => {
                let canvas = self.resources.get(resource)?.canvas();
                if !area.fits(canvas.width(), canvas.height()) {
                    return Err(Failure::Parameter);
                }
                if self.is_shown(resource) {
                    self.screen.redrawn();
                }
            }
            Request::Transfer {
                area,
                offset,
                resource,
            } => self.resources.transfer(memory, resource, area, offset)?,
            Request::Attach { .. } => return Err(Failure::Unspecified),
            Request::Detach { resource } => self.resources.detach(resource)?,
            Request::UpdateCursor { resource, hot } => self.update_cursor(resource, hot)?,
            Request::MoveCursor => {}
        }
        Ok(Answer::Done)
    }

    fn set_scanout(&mut self, area: Area, scanout: u32, resource: u32) -> Result<(), Failure> {
        if scanout != 0 {
            return Err(Failure::Scanout);
        }
        if resource == 0 {
            self.darken();
            return Ok(());
        }
        let canvas = self.resources.get(resource)?.canvas();
        let empty = area.width == 0 || area.height == 0;
        if empty || !area.fits(canvas.width(), canvas.height()) {
            return Err(Failure::Parameter);
        }
        self.screen.show_canvas(canvas.clone(), area);
        self.shown = Some((resource, area));
        Ok(())
    }

    fn update_cursor(&mut self, resource: u32, hot: (u32, u32)) -> Result<(), Failure> {
        if resource == 0 {
            self.forget_cursor();
            return Ok(());
        }
        let canvas = self.resources.get(resource)?.canvas();
        let is_cursor = (canvas.width(), canvas.height()) == (CURSOR_SIDE, CURSOR_SIDE);
        if !is_cursor || hot.0 >= CURSOR_SIDE || hot.1 >= CURSOR_SIDE {
            return Err(Failure::Parameter);
        }
        self.screen.set_cursor(Some(Cursor {
            width: CURSOR_SIDE as u16,
            height: CURSOR_SIDE as u16,
            hot_x: hot.0 as u16,
            hot_y: hot.1 as u16,
            pixels: canvas.pixels().clone(),
        }));
        self.cursor = Some((resource, hot));
        Ok(())
    }

    fn is_shown(&self, resource: u32) -> bool {
        self.shown.is_some_and(|(shown, _)| shown == resource)
    }

    fn darken(&mut self) {
        // Another device may show something; only what we show is ours to take away.
        if self.shown.take().is_some() {
            self.screen.show(None);
        }
    }

    fn forget_cursor(&mut self) {
        if self.cursor.take().is_some() {
            self.screen.set_cursor(None);
        }
    }
}

impl Backend for Gpu {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn deactivated(&mut self) {
        self.darken();
        self.forget_cursor();
        self.resources = Resources::default();
        self.wishes.events.store(0, Ordering::Release);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            while let Some(chain) = live.pop(queue)? {
                let head = chain.head;
                let written = self.serve(&live.memory.clone(), chain);
                live.push(queue, head, written)?;
            }
            Ok(Stopped::Empty)
        })
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wishes.asked.as_fd())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.wishes.asked.clear();
        self.wishes.events.fetch_or(EVENT_DISPLAY, Ordering::AcqRel);
        live.interrupts.config();
        Ok(())
    }

    fn registers(&self) -> Option<Arc<dyn Registers>> {
        Some(self.wishes.clone())
    }

    fn save(&self) -> Vec<u8> {
        let kept = Kept {
            size: self.wishes.size(),
            events: self.wishes.events.load(Ordering::Acquire),
            resources: self.resources.keep(),
            shown: self
                .shown
                .map(|(id, area)| (id, [area.x, area.y, area.width, area.height])),
            cursor: self.cursor,
        };
        // Numbers and lists of them are always JSON.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    fn restore(&mut self, saved: &[u8], live: &mut Live) {
        let Ok(kept) = serde_json::from_slice::<Kept>(saved) else {
            return;
        };
        self.wishes.resize(kept.size.0, kept.size.1);
        self.wishes.events.store(kept.events, Ordering::Release);
        for resource in kept.resources {
            if let Err(failure) = self.resources.revive(&live.memory, resource) {
                tracing::warn!(?failure, "a picture of the display is lost");
            }
        }
        if let Some((resource, [x, y, width, height])) = kept.shown {
            let area = Area {
                x,
                y,
                width,
                height,
            };
            // Refused if its picture is lost: then the screen is dark until the guest draws anew.
            let _ = self.set_scanout(area, 0, resource);
        }
        if let Some((resource, hot)) = kept.cursor {
            let _ = self.update_cursor(resource, hot);
        }
    }
}
