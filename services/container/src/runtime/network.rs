//! The container's cards: veth pairs whose host end is a port of a bridge.

use basalt_model::container::ContainerNic;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::step::{Step, StepError};

/// The host's network, through one netlink connection.
pub struct Network {
    handle: Handle,
}

impl Network {
    /// Opens the netlink connection; serves it in the background.
    pub fn open() -> Result<Self, StepError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().step("open a netlink connection")?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes every card, its inner end in the network namespace of process `pid`.
    pub async fn attach(&self, nics: &[ContainerNic], pid: u32) -> Result<(), StepError> {
        for nic in nics {
            self.attach_one(nic, pid).await?;
        }
        Ok(())
    }

    /// Removes every card's host end, and with it the card.
    pub async fn detach(&self, nics: &[ContainerNic]) -> Result<(), StepError> {
        for nic in nics {
            self.remove_stale(nic).await?;
        }
        Ok(())
    }

    async fn attach_one(&self, nic: &ContainerNic, pid: u32) -> Result<(), StepError> {
        let bridge = self
            .find(&nic.bridge)
            .await
            .step_with(|| format!("look up the bridge {}", nic.bridge))?
            .ok_or_else(|| {
                StepError::new(
                    format!("join {} to {}", nic.host_name, nic.bridge),
                    "there is no such bridge",
                )
            })?;
        // A predecessor's namespace may still be on its way out, with the name taken.
        self.remove_stale(nic).await?;
        self.handle
            .link()
            .add(pair(nic, pid))
            .execute()
            .await
            .step_with(|| format!("create the card {}", nic.host_name))?;
        let port = LinkMessageBuilder::<LinkUnspec>::new()
            .name(nic.host_name.clone())
            .controller(bridge.header.index)
            .up()
            .build();
        self.handle
            .link()
            .set(port)
            .execute()
            .await
            .step_with(|| format!("join {} to {}", nic.host_name, nic.bridge))
    }

    async fn remove_stale(&self, nic: &ContainerNic) -> Result<(), StepError> {
        let name = &nic.host_name;
        let found = self
            .find(name)
            .await
            .step_with(|| format!("look up {name}"))?;
        let Some(link) = found else { return Ok(()) };
        if !is_veth(&link) {
            return Err(StepError::new(
                format!("use the name {name}"),
                "another kind of interface has it",
            ));
        }
        match self.handle.link().del(link.header.index).execute().await {
            Err(error) if !is_missing(&error) => {
                Err(StepError::new(format!("remove {name}"), error))
            }
            _ => Ok(()),
        }
    }

    async fn find(&self, name: &str) -> Result<Option<LinkMessage>, rtnetlink::Error> {
        let mut links = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        match links.try_next().await {
            Err(error) if is_missing(&error) => Ok(None),
            result => result,
        }
    }
}

/// The request for both ends of a card at once; the inner end appears in its namespace under its
/// final name.
fn pair(nic: &ContainerNic, pid: u32) -> LinkMessage {
    let inner = LinkMessageBuilder::<LinkUnspec>::new()
        .name(nic.name.clone())
        .address(nic.mac.to_vec())
        .setns_by_pid(pid)
        .build();
    LinkMessageBuilder::<LinkVeth>::new(&nic.host_name, &nic.name)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(inner)))
        .address(host_mac(nic.mac).to_vec())
        .build()
}

/// Hardware address of the host's end. A bridge takes the lowest address of its ports, so this
/// one is high: the bridge keeps its own when containers come and go.
fn host_mac(inner: [u8; 6]) -> [u8; 6] {
    let mut mac = inner;
    mac[0] = 0xfe;
    mac
}

fn is_veth(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| {
        matches!(attribute, LinkAttribute::LinkInfo(infos)
            if infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth))))
    })
}

fn is_missing(error: &rtnetlink::Error) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message)
        if message.raw_code().abs() == libc::ENODEV)
}
