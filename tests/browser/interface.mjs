/** The steps a person takes through the interface, by the names that the interface shows. */
import path from "node:path";
import { minutes, until } from "./browser.mjs";

export async function logIn(page, url, user, password) {
  const [name, realm = "pam"] = user.split("@");
  await page.goto(url);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Realm").selectOption(realm);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Datacenter", level: 1 }).waitFor();
  await page
    .getByRole("treeitem", { name: /, available$/ })
    .first()
    .waitFor();
}

/** Uploads a file and waits until the storage lists it. */
export async function uploadFile(page, file, kind) {
  const name = path.basename(file);
  await page.getByRole("treeitem", { name: /^local, / }).click();
  await page.getByRole("tab", { name: "Content" }).waitFor();
  await page.locator(".page-head").getByRole("button", { name: "Upload" }).click();
  const dialog = page.getByRole("dialog", { name: /^Upload to/ });
  await dialog.getByLabel("File").setInputFiles(file);
  await dialog.getByLabel("Content kind").selectOption(kind);
  await dialog.getByRole("button", { name: "Upload", exact: true }).click();
  await until(page, `the upload of ${name}`, minutes(30), async () => !(await dialog.isVisible()));
  const row = page.getByRole("grid", { name: "Content" }).getByText(name, { exact: true });
  await until(page, `${name} in the list`, minutes(10), () => row.isVisible());
}

/** Waits for a default that the wizard asks the server for. */
async function filled(page, dialog, role, name) {
  const field = dialog.getByRole(role, { name, exact: true });
  await until(page, `a value in "${name}"`, minutes(2), async () => (await field.inputValue()) !== "");
}

const next = (dialog) => dialog.getByRole("button", { name: "Next" }).click();

/** Fills in the wizard of a virtual machine that boots a kernel with an imported disk; does not start it. */
export async function createVm(page, { name, kernel, initrd, disk, memory }) {
  await page.getByRole("banner").getByRole("button", { name: "Create VM" }).click();
  const dialog = page.getByRole("dialog", { name: "Create virtual machine" });
  await dialog.getByRole("textbox", { name: "Name" }).fill(name);
  await filled(page, dialog, "textbox", "Number");
  await next(dialog);
  await choose(dialog, "Kernel", kernel);
  if (initrd) await choose(dialog, "Initial RAM disk", initrd);
  await next(dialog);
  await choose(dialog, "Disk image", disk);
  await filled(page, dialog, "combobox", "Storage");
  await next(dialog);
  await dialog.getByRole("textbox", { name: "Memory (MiB)" }).fill(String(memory));
  await next(dialog);
  await next(dialog);
  await finish(page, dialog, name);
}

/** Fills in the wizard of a container; does not start it. */
export async function createContainer(page, { name, password, template, memory }) {
  await page.getByRole("banner").getByRole("button", { name: "Create container" }).click();
  const dialog = page.getByRole("dialog", { name: "Create container" });
  await dialog.getByRole("textbox", { name: "Host name" }).fill(name);
  await filled(page, dialog, "textbox", "Number");
  await dialog.getByLabel("Root password").fill(password);
  await dialog.getByLabel("Repeat password").fill(password);
  await next(dialog);
  await choose(dialog, "Template", template);
  await filled(page, dialog, "combobox", "Storage");
  await dialog.getByRole("textbox", { name: "Root disk size (GiB)" }).fill("4");
  await next(dialog);
  await dialog.getByRole("textbox", { name: "Memory (MiB)" }).fill(String(memory));
  await next(dialog);
  await next(dialog);
  await finish(page, dialog, name);
}

/** Chooses the volume whose file has this name. */
async function choose(dialog, label, file) {
  const select = dialog.getByRole("combobox", { name: label, exact: true });
  const option = select.getByRole("option", {
    name: new RegExp(`^${escape(file)} \\(`),
  });
  await option.waitFor({ state: "attached" });
  await select.selectOption(await option.getAttribute("value"));
}

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

async function finish(page, dialog, name) {
  await dialog.getByRole("checkbox", { name: "Start after creation" }).uncheck();
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await until(page, `the wizard's end for ${name}`, minutes(5), async () => !(await dialog.isVisible()));
  await page.getByRole("heading", { name, level: 1 }).waitFor({ timeout: minutes(5) });
}

const action = (page, name) => page.locator(".page-head").getByRole("button", { name, exact: true });

async function onOffer(page, name, limit) {
  const button = action(page, name);
  await until(page, `"${name}" on offer`, limit, async () => {
    return (await button.isVisible()) && (await button.getAttribute("aria-disabled")) !== "true";
  });
  return button;
}

/** Starts the guest whose page is shown and waits until it runs. */
export async function startGuest(page) {
  await (await onOffer(page, "Start", minutes(20))).click();
  await onOffer(page, "Stop", minutes(10));
}

/** Stops the guest whose page is shown, then deletes it. */
export async function removeGuest(page) {
  await (await onOffer(page, "Stop", minutes(2))).click();
  await page.getByRole("dialog").getByRole("button", { name: "Stop", exact: true }).click();
  const { pathname } = new URL(page.url());
  await (await onOffer(page, "Delete", minutes(5))).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "Datacenter", level: 1 }).waitFor();
  const vmid = pathname.split("/")[4];
  const row = page.getByRole("treeitem", { name: new RegExp(`^${vmid} `) });
  await until(page, `guest ${vmid} gone`, minutes(5), async () => (await row.count()) === 0);
}

/** Opens the page of a guest by its name in the tree. */
export async function openGuest(page, name) {
  await page.getByRole("treeitem", { name: new RegExp(` ${escape(name)}, `) }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
}
