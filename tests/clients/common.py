"""What the scripts in Python share: how to reach the appliance, and how to wait for a task."""

import os

import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

urllib3.disable_warnings()

HOST = os.environ["BASALT_HOST"]
PORT = int(os.environ["BASALT_PORT"])
TASK_SECONDS = 240

VM = {
    "memory": 384,
    "cores": 1,
    "kernel": "local:kernel/vmlinuz",
    "initrd": "local:kernel/initrd.img",
    "cmdline": "console=ttyS0 root=/dev/vda rw",
    "virtio0": "local:0,import-from=local:import/debian.raw",
    "net0": "virtio,bridge=vmbr0",
    "serial0": "socket",
}
CT = {
    "ostemplate": "local:vztmpl/debian.tar.zst",
    "rootfs": "local:1",
    "memory": 256,
    "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
    "unprivileged": 1,
}


def connect(**credentials):
    """The API for somebody, who logs in unless a token is given."""
    return ProxmoxAPI(HOST, port=PORT, verify_ssl=False, timeout=120, **credentials)


def root():
    """The API for the superuser."""
    return connect(user="root@pam", password=os.environ["BASALT_PASSWORD"])


def wait(api, upid, expected="OK"):
    """Waits for a task's end with proxmoxer's own helper."""
    status = Tasks.blocking_status(api, upid, timeout=TASK_SECONDS)
    assert status and status["exitstatus"] == expected, (upid, status)


def refused(call, status, *words, errors=()):
    """Makes a call that must be refused so: with this status, words and wrong parameters."""
    from proxmoxer import ResourceException

    try:
        answer = call()
    except ResourceException as refusal:
        assert refusal.status_code == status, refusal
        for word in words:
            assert word in str(refusal), (word, str(refusal))
        assert sorted(refusal.errors or {}) == sorted(errors), refusal.errors
        return refusal
    raise AssertionError(f"expected {status}, got {answer!r}")
