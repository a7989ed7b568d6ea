//! Settings of guests and storages as clients write them; what is accepted is printed so that it reads
//! as the same.

use std::fmt::Debug;

use crate::input::Input;
use basalt_model::calendar::{CalendarEvent, DailySpan};
use basalt_model::entropy::Entropy;
use basalt_model::field::Field;
use basalt_model::guest::{Description, GuestName, Startup, Tags};
use basalt_model::lxc::{AddressList, Features, LxcNet, NameList, Rootfs};
use basalt_model::network::{InterfaceName, Ip4Config, Ip6Config, Mac};
use basalt_model::notify::{FieldMatch, HttpHeader, MailAddress, MailTo, SeverityMatch};
use basalt_model::processors::CpuLimit;
use basalt_model::propstring;
use basalt_model::qemu::serial::SerialPort;
use basalt_model::qemu::{BootOrder, EfiDisk, QemuDisk, QemuNet, Smbios, SystemUuid};
use basalt_model::storage::{
    ContentKinds, DiskSize, LvmName, SnapshotName, StorageId, VolumeId, VolumeSource,
};
use basalt_model::upid::Upid;
use basalt_model::userid::{Authid, Userid};

fn field<T: Field + PartialEq + Debug>(text: &str) {
    let Ok(value) = T::parse(text) else { return };
    let printed = value.print();
    match T::parse(&printed) {
        Ok(again) => assert_eq!(again, value, "{text:?} is printed as {printed:?}"),
        Err(problem) => panic!("{text:?} is printed as {printed:?}: {problem}"),
    }
}

fn text<T: std::str::FromStr + ToString + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let printed = value.to_string();
    assert_eq!(printed.parse().ok(), Some(value), "{text:?}, {printed:?}");
}

/// A schedule; what it comes to is looked for, too.
fn schedule(given: &str) {
    field::<CalendarEvent>(given);
    if let Ok(event) = given.parse::<CalendarEvent>() {
        let next = event.next(1_800_000_000);
        assert!(next.is_none_or(|next| next > 1_800_000_000), "{given:?}");
    }
}

/// Readers of all kinds of settings.
const KINDS: &[fn(&str)] = &[
    field::<QemuDisk>,
    field::<EfiDisk>,
    field::<Smbios>,
    field::<SystemUuid>,
    field::<QemuNet>,
    field::<BootOrder>,
    field::<Rootfs>,
    field::<LxcNet>,
    field::<CpuLimit<128>>,
    field::<Features>,
    field::<AddressList>,
    field::<NameList>,
    field::<Mac>,
    field::<InterfaceName>,
    field::<Ip4Config>,
    field::<Ip6Config>,
    field::<StorageId>,
    field::<VolumeId>,
    field::<VolumeSource>,
    field::<SnapshotName>,
    field::<ContentKinds>,
    field::<DiskSize>,
    field::<LvmName>,
    field::<GuestName>,
    field::<Tags>,
    field::<Description>,
    field::<Startup>,
    text::<Userid>,
    text::<Authid>,
    text::<Upid>,
    field::<DailySpan>,
    field::<FieldMatch>,
    field::<SeverityMatch>,
    field::<HttpHeader>,
    field::<MailAddress>,
    field::<MailTo>,
    schedule,
    |text| drop(propstring::split(text, Some("file"))),
    field::<Entropy>,
    field::<SerialPort>,
];

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = KINDS[input.below(KINDS.len())];
    if let Ok(text) = std::str::from_utf8(input.rest()) {
        kind(text);
    }
}
