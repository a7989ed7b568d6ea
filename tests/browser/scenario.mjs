/**
 * A first visit, from log-in to two running guests, in a real browser against a real appliance.
 *
 * Settings, from the environment:
 *   BASALT_URL, BASALT_USER, BASALT_PASSWORD   the appliance
 *   BASALT_KERNEL, BASALT_INITRD, BASALT_DISK  files of a Linux guest with a console on ttyS0, root without password
 *   BASALT_TEMPLATE                            archive of a Debian root file system with systemd
 *   BASALT_BRIDGE_ADDRESS                      address of the bridge, which both guests ping
 *   BASALT_SCREENSHOTS                         folder for a picture of every step (default: screenshots)
 *   BASALT_TIMEOUT_FACTOR, BASALT_CHROMIUM     patience; path of the browser
 *   BASALT_KEEP=1                              leaves the guests running at the end
 */
import path from "node:path";
import { minutes, openBrowser, setting } from "./browser.mjs";
import * as ui from "./interface.mjs";
import { openConsole, reachShell, run, screenText } from "./terminal.mjs";

const VM = "first-vm";
const CONTAINER = "first-container";
const SECRET = "basalt-container";

const url = setting("BASALT_URL");
const kernel = setting("BASALT_KERNEL");
const initrd = process.env.BASALT_INITRD;
const disk = setting("BASALT_DISK");
const template = setting("BASALT_TEMPLATE");
const bridge = setting("BASALT_BRIDGE_ADDRESS");
const file = path.basename;

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Asks for an address until the network of a freshly booted guest is up. */
async function ping(page, who) {
  const loop = `for i in $(seq 60); do ping -c1 -W5 ${bridge} && break; sleep 2; done`;
  const { lines } = await run(page, loop, minutes(10));
  const reached = lines.some((line) => / 0% packet loss/.test(line));
  expect(reached, `${who} cannot reach the bridge at ${bridge}: ${lines.join(" / ")}`);
}

async function useVm(page, shoot) {
  await openConsole(page);
  await reachShell(page, { user: "root", password: "" }, minutes(20));
  // The kernel may write to the console in between, so the answer is looked for among the lines.
  const { lines } = await run(page, "uname -r");
  const release = lines.find((line) => /^\d+\.\d+\S*$/.test(line));
  expect(release, `uname -r said: ${lines.join(" / ")}`);
  const wanted = /vmlinuz-(.+)$/.exec(file(kernel))?.[1];
  expect(!wanted || release === wanted, `the VM runs ${release}, not ${wanted}`);
  await shoot("vm-uname");
  await ping(page, "the VM");
  await shoot("vm-ping");
  return release;
}

async function useContainer(page, shoot) {
  await openConsole(page);
  await reachShell(page, { user: "root", password: SECRET }, minutes(20));
  const { lines } = await run(page, "systemctl is-system-running --wait", minutes(15));
  expect(lines.includes("running"), `the container's system says: ${lines.join(" / ")}`);
  await shoot("container-running");
  await ping(page, "the container");
  await shoot("container-ping");
}

const steps = {
  "log in": async ({ page, shoot }) => {
    await ui.logIn(page, url, setting("BASALT_USER"), setting("BASALT_PASSWORD"));
    await shoot("datacenter");
  },
  "upload the guests' files": async ({ page, shoot }) => {
    await ui.uploadFile(page, kernel, "kernel");
    if (initrd) await ui.uploadFile(page, initrd, "kernel");
    await ui.uploadFile(page, disk, "import");
    await ui.uploadFile(page, template, "vztmpl");
    await shoot("storage");
  },
  "create a virtual machine": async ({ page, shoot }) => {
    const names = {
      kernel: file(kernel),
      initrd: initrd && file(initrd),
      disk: file(disk),
    };
    await ui.createVm(page, { name: VM, memory: 512, ...names });
    await shoot("vm-created");
  },
  "start it": async ({ page, shoot }) => {
    await ui.startGuest(page);
    await shoot("vm-started");
  },
  "work on its console": async ({ page, shoot }) => {
    console.log(`  the VM answers: ${await useVm(page, shoot)}`);
  },
  "create a container": async ({ page, shoot }) => {
    await ui.createContainer(page, {
      name: CONTAINER,
      password: SECRET,
      memory: 512,
      template: file(template),
    });
    await shoot("container-created");
  },
  "start the container": async ({ page, shoot }) => {
    await ui.startGuest(page);
    await shoot("container-started");
  },
  "work on the container's console": ({ page, shoot }) => useContainer(page, shoot),
  "look at users and what they may do": async ({ page, shoot }) => {
    await page.getByRole("treeitem", { name: "Datacenter" }).click();
    for (const name of ["Users", "Groups", "API tokens", "Pools", "Roles", "Permissions"]) {
      await page.getByRole("tab", { name, exact: true }).click();
      await page.getByRole("heading", { name, exact: true, level: 2 }).waitFor();
      await page
        .getByText(/^Loading /)
        .first()
        .waitFor({ state: "detached" });
      await shoot(`datacenter-${name.toLowerCase().replace(" ", "-")}`);
    }
  },
  "look at both": async ({ page, shoot }) => {
    await ui.openGuest(page, VM);
    await page.getByRole("img", { name: /^CPU: / }).waitFor();
    await shoot("vm-summary");
    await page.getByRole("treeitem", { name: "Datacenter" }).click();
    await page.getByRole("button", { name: "Recent tasks" }).click();
    await shoot("both-running");
  },
};

if (process.env.BASALT_KEEP !== "1") {
  steps["stop and delete both"] = async ({ page, shoot }) => {
    for (const name of [VM, CONTAINER]) {
      await ui.openGuest(page, name);
      await ui.removeGuest(page);
    }
    await shoot("all-gone");
  };
}

const browser = await openBrowser();
try {
  for (const [name, step] of Object.entries(steps)) {
    const began = Date.now();
    try {
      await step(browser);
    } catch (error) {
      const picture = await browser.shoot("failure").catch(() => "no picture");
      const screen = await screenText(browser.page).catch(() => "");
      console.error(`FAILED: ${name}: ${error.message}\n  picture: ${picture}\n${screen}`);
      process.exitCode = 1;
      break;
    }
    console.log(`ok: ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  }
  if (browser.complaints.length > 0) {
    console.error(`FAILED: errors in the page:\n${browser.complaints.join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
