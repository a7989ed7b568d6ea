//! Discs that are put into drives and taken out of them.

use std::fs::File;
use std::os::fd::OwnedFd;

use basalt_model::disk::ChangeMedia;

use super::Server;
use crate::virtio::scsi::drive::Medium;

impl Server {
    /// Changes the disc in a drive; what is wrong with the field that it names otherwise.
    pub(super) fn change_media(
        &self,
        change: &ChangeMedia,
        disc: Option<OwnedFd>,
    ) -> Result<(), String> {
        let mut drives = self.resources.drives.iter();
        let Some(drive) = drives.find(|drive| drive.id() == change.drive) else {
            return Err(format!("drive: there is no '{}'", change.drive));
        };
        let medium = match (change.insert, disc) {
            (false, None) => None,
            (true, Some(disc)) => {
                Some(Medium::new(File::from(disc)).map_err(|e| format!("insert: {e}"))?)
            }
            (true, None) => return Err("insert: no descriptor came with the request".to_owned()),
            (false, Some(_)) => {
                return Err("insert: a descriptor came, but is not wanted".to_owned());
            }
        };
        drive.change(medium);
        Ok(())
    }
}
