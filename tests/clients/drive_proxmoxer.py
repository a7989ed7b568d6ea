"""Drives an appliance with proxmoxer as its users would."""

import os
import sys
import time

from proxmoxer import AuthenticationError
from proxmoxer.tools import Files, Tasks

from common import CT, VM, connect, refused, root, wait


def main():
    api = root()
    nodes = api.nodes.get()
    assert [node["status"] for node in nodes] == ["online"], nodes
    name = nodes[0]["node"]
    node = api.nodes(name)
    logins(api)
    errors(api, node)
    upload(api, name)
    qcow2 = dict(VM, virtio0=VM["virtio0"] + ",format=qcow2")
    live(api, node.qemu, name="from-proxmoxer", **qcow2)
    live(api, node.lxc, hostname="from-proxmoxer", **CT)
    rights(api, name)


def logins(api):
    """Tickets and API tokens let in, as long as they hold; wrong passwords do not."""
    assert api.version.get()["version"], "no version"
    ticket, csrf = api.get_tokens()
    assert ticket.startswith("PVE:root@pam:") and csrf, "no ticket"
    # A ticket is a password: that is how proxmoxer renews it.
    again = connect(user="root@pam", password=ticket)
    assert again.nodes.get(), "a renewed login sees nothing"
    try:
        connect(user="root@pam", password="wrong-password")
    except AuthenticationError as error:
        assert "401" in str(error), error
    else:
        raise AssertionError("a wrong password let in")

    tokens = api.access.users("root@pam").token
    made = tokens("proxmoxer").post(privsep=0, comment="by proxmoxer")
    assert made["full-tokenid"] == "root@pam!proxmoxer", made
    by_token = connect(user="root@pam", token_name="proxmoxer", token_value=made["value"])
    assert [node["status"] for node in by_token.nodes.get()] == ["online"]
    assert [token["tokenid"] for token in tokens.get()] == ["proxmoxer"], tokens.get()
    tokens("proxmoxer").delete()
    refused(by_token.nodes.get, 401)


def errors(api, node):
    """What is wrong is named, and nothing has changed."""
    before = api.cluster.resources.get(type="vm")
    refused(
        lambda: node.qemu.post(vmid=9, memory="lots", colour="red", net0="bogus=1"),
        400,
        "Parameter verification failed.",
        errors=["vmid", "memory", "colour", "net0"],
    )
    refused(
        lambda: node.lxc.post(vmid=100, ostemplate="local:vztmpl/none.tar.zst", rootfs="local:1"),
        400,
        errors=["ostemplate"],
    )
    refused(lambda: node.qemu(999999).status.current.get(), 500, "VM 999999 does not exist")
    refused(lambda: api.nodes("elsewhere").qemu.get(), 500, "no such cluster node")
    refused(lambda: api.nonsense.get(), 501, "not implemented")
    assert api.cluster.resources.get(type="vm") == before, "something was made"


def upload(api, node):
    """An ISO image goes up if its checksum fits, is listed and deleted."""
    iso = os.environ["BASALT_ISO"]
    volume = "local:iso/" + os.path.basename(iso)
    storage = api.nodes(node).storage("local")
    with open(iso, "rb") as content:
        wrong = {"checksum": "0" * 64, "checksum-algorithm": "sha256"}
        upid = storage.upload.post(content="iso", filename=content, **wrong)
        ended = Tasks.blocking_status(api, upid)
    assert "checksum" in ended["exitstatus"], ended
    assert storage.content.get(content="iso") == [], "kept with a wrong checksum"
    done = Files(api, node, "local").upload_local_file_to_storage(iso)
    assert done["exitstatus"] == "OK", done
    [listed] = storage.content.get(content="iso")
    assert (listed["volid"], listed["size"]) == (volume, os.path.getsize(iso)), listed
    with open(iso, "rb") as content:
        wait(api, storage.upload.post(content="iso", filename=content))
    assert len(storage.content.get(content="iso")) == 1, "not in place of the old one"
    wait(api, storage.content(volume).delete())
    assert storage.content.get(content="iso") == [], "still listed"


def live(api, kind, **config):
    """Takes one guest through its life, waiting for each task."""
    vmid = int(api.cluster.nextid.get())
    upid = kind.post(vmid=vmid, **config)
    wait(api, upid)
    tasks(api, upid, vmid)
    assert vmid in [int(guest["vmid"]) for guest in kind.get()], "not listed after creation"
    refused(lambda: kind.post(vmid=vmid, **config), 500, "already exists")
    guest = kind(vmid)

    before = guest.config.get()
    guest.config.put(description="changed by proxmoxer", digest=before["digest"])
    assert guest.config.get()["description"].strip() == "changed by proxmoxer"
    stale = {"memory": 512, "digest": before["digest"]}
    refused(lambda: guest.config.put(**stale), 400, errors=["digest"])

    wait(api, guest.status.start.post())
    assert guest.status.current.get()["status"] == "running"
    resources = api.cluster.resources.get(type="vm")
    assert [r["status"] for r in resources if r["vmid"] == vmid] == ["running"], resources
    again = Tasks.blocking_status(api, guest.status.start.post())
    assert "already running" in again["exitstatus"], again
    refused(guest.delete, 500, "is running")
    wait(api, guest.status.stop.post())
    assert guest.status.current.get()["status"] == "stopped"

    if "rootfs" in config:
        # A raw image in a directory.
        refused(lambda: guest.snapshot.post(snapname="before"), 500, "snapshot feature")
    else:
        snapshots(api, guest)
    clones(api, kind, guest)

    wait(api, guest.delete(purge=1))
    assert vmid not in [int(guest["vmid"]) for guest in kind.get()], "still listed"
    print(f"{vmid}: created, started, stopped, deleted at {time.strftime('%X')}")


def snapshots(api, guest):
    """A guest goes back to what it was configured to be, and its snapshots are listed as a tree."""
    wait(api, guest.snapshot.post(snapname="before", description="by proxmoxer"))
    guest.config.put(description="changed again")
    listed = {entry["name"]: entry for entry in guest.snapshot.get()}
    assert listed["before"]["snaptime"] > 0 and listed["current"]["parent"] == "before", listed
    again = lambda: guest.snapshot.post(snapname="before")
    refused(again, 500, "already used")
    before = guest.snapshot("before")
    before.config.put(description="told later")
    assert before.config.get()["description"].strip() == "told later"
    assert guest.config.get(snapshot="before")["memory"] == guest.config.get()["memory"]
    wait(api, before.rollback.post())
    assert guest.config.get()["description"].strip() == "changed by proxmoxer"
    wait(api, before.delete())
    assert [entry["name"] for entry in guest.snapshot.get()] == ["current"]


def clones(api, kind, guest):
    """A full clone, a template of it, and a clone that shares its disk where that can be."""
    copy = int(api.cluster.nextid.get())
    wait(api, guest.clone.post(newid=copy, full=1))
    address = lambda one: one.config.get()["net0"]
    assert address(guest) != address(kind(copy)), "two guests with one address"
    refused(lambda: guest.clone.post(newid=copy), 500, "already exists")
    made = kind(copy).template.post()
    if made is not None:
        wait(api, made)
    assert kind(copy).config.get()["template"] == 1
    started = Tasks.blocking_status(api, kind(copy).status.start.post())
    assert "template" in started["exitstatus"], started
    shared = int(api.cluster.nextid.get())
    if kind(copy).feature.get(feature="clone")["hasFeature"]:
        wait(api, kind(copy).clone.post(newid=shared))
    else:
        refused(lambda: kind(copy).clone.post(newid=shared), 500, "Linked clone feature")
        wait(api, kind(copy).clone.post(newid=shared, full=1))
    assert address(kind(shared)) != address(kind(copy))
    for vmid in (copy, shared):
        wait(api, kind(vmid).delete())


def tasks(api, upid, vmid):
    """A task that ended is listed, and has a log that can be read in pages."""
    parts = Tasks.decode_upid(upid)
    assert parts["id"] == str(vmid) and parts["user"] == "root@pam", parts
    node = api.nodes(parts["node"])
    mine = node.tasks.get(vmid=vmid, typefilter=parts["type"])
    assert [task["upid"] for task in mine] == [upid] and mine[0]["status"] == "OK", mine
    assert upid in [task["upid"] for task in api.cluster.tasks.get()], "not listed"
    log = node.tasks(upid).log.get()
    assert Tasks.decode_log(log).endswith("TASK OK"), log
    assert node.tasks(upid).log.get(start=1, limit=1) == log[1:2], log


def rights(api, node):
    """Somebody without rights sees nothing and may nothing; with a role, just what it says."""
    password = "a-good-secret"
    api.access.users.post(userid="jo@pve", password=password)
    api.pools.post(poolid="theirs")
    jo = connect(user="jo@pve", password=password)
    assert api.cluster.resources.get(type="storage"), "no storage"
    assert jo.cluster.resources.get(type="storage") == [], "storages are seen"
    refused(jo.nodes(node).status.get, 403)
    refused(lambda: jo.access.users.post(userid="eve@pve"), 403, "Permission check failed")
    refused(lambda: jo.storage.post(storage="x", type="dir", path="/srv/x"), 403)
    api.access.acl.put(path="/pool/theirs", roles="PVEPoolUser", users="jo@pve")
    assert [pool["poolid"] for pool in jo.pools.get()] == ["theirs"]
    refused(lambda: jo.pools("theirs").delete(), 403)
    api.pools("theirs").delete()
    api.access.users("jo@pve").delete()
    refused(jo.pools.get, 401)


if __name__ == "__main__":
    sys.exit(main())
