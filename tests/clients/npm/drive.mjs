// Drives an appliance with proxmox-api as its users would.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

// The appliance signed its certificate itself; the client's documentation has users do this. It is
// set before the client is loaded, which reads it then.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
const { default: proxmoxApi, ProxmoxEngine } = await import("proxmox-api");

const address = {
  host: process.env.BASALT_HOST,
  port: Number(process.env.BASALT_PORT),
  authTimeout: 60_000,
  queryTimeout: 120_000,
};
const password = process.env.BASALT_PASSWORD;
const TASK_SECONDS = 240;

const engine = new ProxmoxEngine({ ...address, username: "root@pam", password });
const api = proxmoxApi(engine);

const [{ node: name, status }] = await api.nodes.$get();
assert.equal(status, "online");
const node = api.nodes.$(name);
assert.match((await api.version.$get()).version, /^\d+\.\d+/);

/** Waits for a task that must end well. */
async function wait(upid) {
  const task = node.tasks.$(upid);
  const end = Date.now() + TASK_SECONDS * 1000;
  for (;;) {
    const { status, exitstatus } = await task.status.$get();
    if (status === "stopped") {
      assert.equal(exitstatus, "OK", upid);
      const log = await task.log.$get({ limit: 500 });
      assert.equal(log.at(-1).t, "TASK OK");
      return;
    }
    assert.ok(Date.now() < end, `${upid} does not end`);
    await pause(500);
  }
}

/** Takes one guest through its life. */
async function live(kind, config) {
  const vmid = Number(await api.cluster.nextid.$get());
  await wait(await kind.$post({ vmid, ...config }));
  const guest = kind.$(vmid);
  await assert.rejects(kind.$post({ vmid, ...config }), /500 .*already exists/);
  await guest.config.$put({ onboot: true, tags: "npm" });
  const set = await guest.config.$get();
  assert.deepEqual([set.onboot, set.tags], [1, "npm"]);
  await wait(await guest.status.start.$post());
  assert.equal((await guest.status.current.$get()).status, "running");
  const seen = await api.cluster.resources.$get({ type: "vm" });
  assert.deepEqual(
    seen.map((one) => [one.vmid, one.status]),
    [[vmid, "running"]],
  );
  await assert.rejects(guest.$delete(), /500 .*is running/);
  await assert.rejects(guest.snapshot.$post({ snapname: "before" }), /500 .*snapshot feature is not available/);
  await wait(await guest.status.stop.$post());
  await wait(await guest.$delete({ purge: true }));
  assert.deepEqual(await kind.$get(), []);
}

await live(node.qemu, {
  name: "from-npm",
  memory: 384,
  kernel: "local:kernel/vmlinuz",
  initrd: "local:kernel/initrd.img",
  cmdline: "console=ttyS0 root=/dev/vda rw",
  virtio0: "local:0,import-from=local:import/debian.raw",
  net0: "virtio,bridge=vmbr0",
  serial0: "socket",
});
await live(node.lxc, {
  hostname: "from-npm",
  ostemplate: "local:vztmpl/debian.tar.zst",
  rootfs: "local:1",
  memory: 256,
  net0: "name=eth0,bridge=vmbr0,ip=dhcp",
  unprivileged: true,
});

// Wrong parameters are named, strangers refused.
const wrong = node.qemu.$post({ vmid: 9, colour: "red" });
await assert.rejects(wrong, /400 Parameter verification failed.*colour/);
await assert.rejects(node.qemu.$(999).config.$get(), /500 VM 999 does not exist/);

// Users, and tokens without the user's rights.
const userid = "jo@pve";
await api.access.users.$post({ userid, password: "a-good-secret" });
const token = await api.access.users.$(userid).token.$("npm").$post({ privsep: true });
const tokenID = `${userid}!npm`;
const jo = proxmoxApi({ ...address, tokenID, tokenSecret: token.value });
assert.equal((await jo.version.$get()).version, (await api.version.$get()).version);
await assert.rejects(jo.nodes.$(name).status.$get(), /403 Permission check failed/);
const acl = { path: "/", roles: "PVEAuditor" };
await api.access.acl.$put({ ...acl, users: userid, tokens: tokenID });
assert.ok((await jo.nodes.$(name).status.$get()).uptime > 0);
await api.access.users.$(userid).$delete();
await assert.rejects(jo.version.$get(), /401/);

// A ticket that no longer holds: the client knows the words, and logs in once more.
const before = engine.ticket;
engine.ticket = before.replace(/::.*/, "::bm9uc2Vuc2U=");
assert.equal((await api.nodes.$get())[0].node, name);
assert.notEqual(engine.ticket, before);
console.log("done");
