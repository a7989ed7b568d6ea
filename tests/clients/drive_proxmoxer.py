"""Drives an appliance with proxmoxer as its users would: nodes, a virtual machine, a container."""

import os
import sys
import time

import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

urllib3.disable_warnings()

TASK_SECONDS = 240


def main():
    api = ProxmoxAPI(
        os.environ["BASALT_HOST"],
        port=int(os.environ["BASALT_PORT"]),
        user="root@pam",
        password=os.environ["BASALT_PASSWORD"],
        verify_ssl=False,
        timeout=120,
    )
    nodes = api.nodes.get()
    assert [node["status"] for node in nodes] == ["online"], nodes
    node = api.nodes(nodes[0]["node"])

    vmid = int(api.cluster.nextid.get())
    live(
        api,
        node.qemu,
        vmid,
        name="from-proxmoxer",
        memory=384,
        cores=1,
        kernel="local:kernel/vmlinuz",
        initrd="local:kernel/initrd.img",
        cmdline="console=ttyS0 root=/dev/vda rw",
        virtio0="local:0,import-from=local:import/debian.raw",
        net0="virtio,bridge=vmbr0",
        serial0="socket",
    )
    vmid = int(api.cluster.nextid.get())
    live(
        api,
        node.lxc,
        vmid,
        hostname="from-proxmoxer",
        ostemplate="local:vztmpl/debian.tar.zst",
        rootfs="local:1",
        memory=256,
        net0="name=eth0,bridge=vmbr0,ip=dhcp",
        unprivileged=1,
    )


def live(api, kind, vmid, **config):
    """Creates, starts, stops and deletes one guest, waiting for each task."""
    wait(api, kind.post(vmid=vmid, **config))
    assert vmid in [int(guest["vmid"]) for guest in kind.get()], "not listed after creation"
    guest = kind(vmid)
    wait(api, guest.status.start.post())
    assert guest.status.current.get()["status"] == "running"
    resources = api.cluster.resources.get(type="vm")
    assert [r["status"] for r in resources if r["vmid"] == vmid] == ["running"], resources
    wait(api, guest.status.stop.post())
    assert guest.status.current.get()["status"] == "stopped"
    wait(api, guest.delete())
    assert vmid not in [int(guest["vmid"]) for guest in kind.get()], "still listed"
    print(f"{vmid}: created, started, stopped, deleted at {time.strftime('%X')}")


def wait(api, upid):
    """Waits for a task's good end with proxmoxer's own helper."""
    status = Tasks.blocking_status(api, upid, timeout=TASK_SECONDS)
    assert status and status["exitstatus"] == "OK", (upid, status)


if __name__ == "__main__":
    sys.exit(main())
