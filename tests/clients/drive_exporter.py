"""Scrapes an appliance with prometheus-pve-exporter and reads what it shows."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from common import CT, HOST, PORT, VM, root, wait

START_SECONDS = 60


def main():
    api = root()
    node = api.nodes.get()[0]["node"]
    wait(api, api.nodes(node).qemu.post(vmid=100, name="watched-vm", tags="a;b", onboot=1, **VM))
    wait(api, api.nodes(node).lxc.post(vmid=101, hostname="watched-ct", **CT))
    wait(api, api.nodes(node).lxc(101).status.start.post())
    with exporter() as scrape:
        check(scrape(), node)
    wait(api, api.nodes(node).lxc(101).delete(force=1))
    wait(api, api.nodes(node).qemu(100).delete())


class exporter:
    """The exporter as its users run it; gives a function that scrapes through it."""

    def __init__(self):
        config = Path(os.environ["BASALT_WORK"], "pve.yml")
        default = {
            "user": "root@pam",
            "token_name": "exporter",
            "token_value": os.environ["BASALT_TOKEN"],
            "verify_ssl": False,
            "timeout": 60,
        }
        # JSON is YAML.
        config.write_text(json.dumps({"default": default}))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        program = [os.environ["BASALT_EXPORTER"], "--config.file", str(config)]
        program += ["--web.listen-address", self.address]
        # Those that are off unless they are asked for.
        program += ["--collector.pve-api-metrics", "--collector.target-metrics"]
        self.process = subprocess.Popen(program)

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.get("/")
                return self.scrape
            except urllib.error.URLError:
                assert self.process.poll() is None, "the exporter has ended"
                assert time.monotonic() < end, "the exporter does not answer"
                time.sleep(0.2)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=240) as answer:
            return answer.read().decode()

    def scrape(self):
        """Every metric: its samples by labels."""
        metrics = {}
        text = self.get(f"/pve?target={HOST}:{PORT}&cluster=1&node=1")
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                metrics.setdefault(sample.name, {})[labels] = sample.value
        return metrics


def check(metrics, node):
    """What each collector shows is what is there."""

    def value(name, **labels):
        found = metrics.get(name, {})
        key = tuple(sorted(labels.items()))
        assert key in found, (name, labels, found)
        return found[key]

    host, storage = f"node/{node}", f"storage/{node}/local"
    up = {"qemu/100": 0, "lxc/101": 1, host: 1, storage: 1}
    for name, expected in up.items():
        assert value("pve_up", id=name) == expected, name
    sized = {"pve_memory_size_bytes": 384 << 20, "pve_cpu_usage_limit": 1}
    for name, expected in sized.items():
        assert value(name, id="qemu/100") == expected, name
    for name in ["pve_memory_usage_bytes", "pve_memory_size_bytes", "pve_uptime_seconds"]:
        assert value(name, id=host) > 0 and value(name, id="lxc/101") > 0, name
    for name in ["pve_disk_size_bytes", "pve_disk_usage_bytes"]:
        assert value(name, id=storage) > 0, name
    assert value("pve_storage_shared", id=storage) == 0
    value("pve_network_receive_bytes_total", id="lxc/101")
    value("pve_cpu_usage_ratio", id=host)

    guests = {labels["name"]: labels for labels in map(dict, metrics["pve_guest_info"])}
    assert guests["watched-vm"]["tags"] == "a;b", guests
    assert guests["watched-ct"]["type"] == "lxc", guests
    [kept] = map(dict, metrics["pve_storage_info"])
    assert kept["plugintype"] == "dir" and "iso" in kept["content"], kept
    [version] = map(dict, metrics["pve_version_info"])
    assert int(version["version"].split(".")[0]) >= 8, version
    [info] = map(dict, metrics["pve_node_info"])
    assert info["name"] == node and info["id"] == host, info

    assert value("pve_onboot_status", id="qemu/100", node=node, type="qemu") == 1
    assert value("pve_not_backed_up_total", id=f"cluster/{node}") == 2
    assert value("pve_not_backed_up_info", id="lxc/101") == 1
    assert value("pve_subscription_status", id=host, status="notfound") == 1
    assert value("pve_lock_state", id="lxc/101", state="backup") == 0
    assert value("pve_ha_state", id="lxc/101", state="started") == 0
    # No job copies a guest elsewhere, and one node has no cluster.
    for name in ["pve_replication_info", "pve_cluster_info", "pve_qdevice_info"]:
        assert not metrics.get(name), (name, metrics[name])
    print(f"{sum(map(len, metrics.values()))} samples of {len(metrics)} metrics")


if __name__ == "__main__":
    sys.exit(main())
