//! One value that only ever grows.

use super::Desk;
use anyhow::Result;
use basalt_daemons::Client;
use serde_json::Value;

/// Where the value is.
#[derive(Debug)]
pub struct Place {
    write: &'static str,
    field: &'static str,
    read: &'static str,
}

/// Of users, of the cluster and of a guest, that is: of all ways of storing.
pub const ALL: &[Place] = &[
    Place {
        write: "PUT /access/users/jo@pve",
        field: "comment",
        read: "GET /access/users/jo@pve",
    },
    Place {
        write: "PUT /cluster/options",
        field: "description",
        read: "GET /cluster/options",
    },
    Place {
        write: "PUT /nodes/n1/qemu/100/config",
        field: "description",
        read: "GET /nodes/n1/qemu/100/config",
    },
];

/// A value, and the last that was acknowledged.
#[derive(Debug)]
pub struct Counter {
    place: &'static Place,
    tried: u64,
    acknowledged: u64,
}

impl Counter {
    pub fn new(place: &'static Place) -> Self {
        Self {
            place,
            tried: 0,
            acknowledged: 0,
        }
    }

    pub async fn step(&mut self, desk: &mut Desk) -> Result<()> {
        self.tried += 1;
        let form = format!("{}={}", self.place.field, self.tried);
        desk.change(self.place.write, &form).await?;
        self.acknowledged = self.tried;
        Ok(())
    }

    pub async fn check(&mut self, client: &mut Client) {
        let read = client.call(self.place.read, "").await.unwrap();
        let found = match &read.data().unwrap()[self.place.field] {
            Value::Null => 0,
            value => value.as_str().unwrap().trim().parse().unwrap(),
        };
        let range = self.acknowledged..=self.tried;
        assert!(range.contains(&found), "{:?}: {found}", self);
        self.acknowledged = found;
    }
}
