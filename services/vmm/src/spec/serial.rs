//! The sockets of the serial ports beside the first.

use std::os::unix::net::UnixListener;

use basalt_model::machine::{MORE_SERIAL, Slot};

use super::Error;
use super::delivery::Delivery;

/// The listener of each port that there is.
pub(super) fn listeners(
    slots: [Option<Slot>; MORE_SERIAL],
    delivery: &mut Delivery,
) -> Result<[Option<UnixListener>; MORE_SERIAL], Error> {
    let mut listeners = [const { None }; MORE_SERIAL];
    for (index, slot) in slots.into_iter().enumerate() {
        if let Some(slot) = slot {
            let listener = delivery.listener(&format!("serial{}", index + 1), slot)?;
            listeners[index] = Some(listener);
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{delivery, refused, spec};
    use super::*;
    use basalt_model::machine::MachineSpec;

    #[test]
    fn what_does_not_listen_is_refused_by_its_port() {
        let mut third = spec();
        third.more_serial[1] = Some(Slot(3));
        assert_eq!(refused(third, delivery(4)), "serial2");
    }

    /// Daemons of this version speak to monitors of this version only, but what they do not say is not there.
    #[test]
    fn a_machine_with_one_port_says_nothing_of_others() {
        let mut line = serde_json::to_value(spec()).unwrap();
        assert!(line.get("more_serial").is_none());
        line["more_serial"] = serde_json::json!([null, 4, null]);
        let more: MachineSpec = serde_json::from_value(line).unwrap();
        assert_eq!(more.more_serial, [None, Some(Slot(4)), None]);
    }
}
