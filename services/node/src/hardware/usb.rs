//! USB devices.

use super::{Tree, attribute};
use basalt_api::methods::hardware::UsbDevice;

impl Tree {
    /// USB devices with their hubs.
    pub fn usb(&self) -> Vec<UsbDevice> {
        // Names with a colon are interfaces of devices.
        let names = self.names("bus/usb/devices").into_iter();
        let devices = names.filter(|name| !name.contains(':'));
        devices.filter_map(|name| self.usb_device(&name)).collect()
    }

    fn usb_device(&self, name: &str) -> Option<UsbDevice> {
        let folder = self.sys.join("bus/usb/devices").join(name);
        let text = |file| attribute(&folder, file);
        // `1-2.3` is behind port 3 of what is on port 2 of bus 1; `usb1` is the bus.
        let place = name.split_once('-').map(|(_, place)| place.to_owned());
        let port = place.as_deref().and_then(|place| place.rsplit('.').next());
        Some(UsbDevice {
            busnum: text("busnum")?.parse().ok()?,
            devnum: text("devnum")?.parse().ok()?,
            class: u32::from_str_radix(&text("bDeviceClass")?, 16).ok()?,
            level: place.as_deref().map_or(0, |place| {
                u32::try_from(place.split('.').count()).unwrap_or(u32::MAX)
            }),
            port: port.and_then(|port| port.parse().ok()).unwrap_or(0),
            usbpath: place.clone(),
            vendid: text("idVendor")?,
            prodid: text("idProduct")?,
            speed: text("speed").unwrap_or_default(),
            manufacturer: text("manufacturer"),
            product: text("product"),
            serial: text("serial"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tree, write};

    #[test]
    fn a_device_knows_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let devices = folder.path().join("sys/bus/usb/devices");
        let files = [
            ("busnum", "1\n"),
            ("devnum", "4\n"),
            ("bDeviceClass", "09\n"),
            ("idVendor", "1d6b\n"),
            ("idProduct", "0002\n"),
            ("speed", "480\n"),
        ];
        for name in ["usb1", "1-2.3"] {
            write(&devices.join(name), &files);
        }
        write(&devices.join("1-2.3:1.0"), &files);
        let found = tree.usb();
        assert_eq!(found.len(), 2);
        let places = (found[0].usbpath.as_deref(), found[0].level, found[0].port);
        assert_eq!(places, (Some("2.3"), 2, 3));
        assert_eq!((found[1].usbpath.as_deref(), found[1].level), (None, 0));
    }
}
