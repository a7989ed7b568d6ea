// The installer's page: code, questions, summary, progress. What it sends is an answer file as JSON.
"use strict";

const byId = (id) => document.getElementById(id);
const views = ["code-view", "form-view", "summary-view", "progress-view"];
const form = byId("answers");
let answers = null;
let disks = [];
let storages = [];
/** The key for data that is to be encrypted; nothing where that does not work. */
let recoveryKey;

function show(view) {
  for (const id of views) byId(id).hidden = id !== view;
}

function tell(message) {
  byId("message").textContent = message ?? "";
  byId("message").hidden = !message;
}

async function call(method, path, body) {
  const options = { method, headers: { "x-basalt-installer": "1" } };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const value = await response.json();
  if (response.ok) return value;
  throw Object.assign(new Error(value.message ?? "Some answers are not right."), {
    status: response.status,
    errors: value.errors ?? [],
  });
}

/** Runs what a visitor asked for and tells what went wrong. */
async function attempt(work) {
  tell();
  try {
    await work();
  } catch (error) {
    if (error.status === 401) {
      show("code-view");
      return;
    }
    const left = explain(error.errors ?? []);
    // Errors from the plan begin with the key they are about.
    const [, key, text] = /^([a-z_]+(?:\.[a-z_]+)?): (.*)$/s.exec(error.message) ?? [];
    if (key && explain([{ key, message: text }]).length === 0) return;
    tell([error.message, ...left].join(" "));
  }
}

/** Puts every error beside its field; returns those that have none. */
function explain(errors) {
  const left = [];
  for (const { key, message } of errors) {
    const place = document.querySelector(`.fault[data-key="${key}"]`)
      ?? document.querySelector(`.fault[data-key="${key?.split(".")[0]}"]`);
    if (place) place.textContent = message;
    else left.push(`${key ?? ""} ${message}`);
  }
  return left;
}

function options(select, list) {
  select.replaceChildren(...list.map(([value, text]) => new Option(text, value)));
}

function diskRow(disk, index) {
  const label = document.createElement("label");
  label.className = "disk";
  const input = Object.assign(document.createElement("input"), {
    type: "radio",
    name: "disk",
    value: String(index),
    disabled: disk.refusal !== null,
  });
  const what = document.createElement("small");
  what.textContent = `holds ${disk.existing ?? disk.content}${disk.refusal ? ` – ${disk.refusal}` : ""}`;
  label.append(input, ` ${disk.path}  ${disk.size}  ${disk.model}, serial ${disk.serial}`, what);
  return label;
}

function chosen() {
  return disks[Number(form.elements.disk?.value || NaN)];
}

/** Offers every other disk that can be used as the second one, and keeps what was chosen. */
function offerSecond(disk) {
  const select = form.elements.mirror;
  const before = select.value;
  const others = disks.filter((other) => !other.refusal && other.path !== disk?.path);
  const text = (other) => `${other.path}  ${other.size}, holds ${other.existing ?? other.content}`;
  options(select, [["", "None"], ...others.map((other) => [other.path, text(other)])]);
  select.value = others.some((other) => other.path === before) ? before : "";
  const action = disk?.existing ? form.elements.action.value : "";
  byId("second").hidden = others.length === 0 || ["repair", "keep-data"].includes(action);
  if (byId("second").hidden) select.value = "";
}

/** Offers what guests' disks can lie in on this disk, and keeps what was chosen. */
function offerStorage(disk) {
  const select = form.elements.storage;
  const before = select.value;
  const others = disks.filter((other) => other.pool && other.path !== disk?.path
    && other.path !== form.elements.mirror.value);
  const fits = (name) => disk?.storages.includes(name) ?? true;
  const offered = storages.filter(([name]) => fits(name) || (name === "zfs" && others.length > 0));
  options(select, offered);
  if (offered.some(([name]) => name === before)) select.value = before;
  const action = disk?.existing ? form.elements.action.value : "";
  byId("data").hidden = ["repair", "keep-data"].includes(action);
  const apart = offerPoolDisks(select.value === "zfs" ? others : []);
  byId("system-size").hidden = select.value === "directory" || apart > 0;
  byId("encryption").hidden = !recoveryKey;
  byId("recovery").hidden = !form.elements.encrypted.checked;
  byId("recovery-key").textContent = recoveryKey ?? "";
}

/** Offers disks that a pool can have for itself, and keeps those that were chosen; says how many. */
function offerPoolDisks(others) {
  const select = form.elements.pool_disks;
  const before = [...select.selectedOptions].map((option) => option.value);
  const text = (disk) => `${disk.path}  ${disk.size}, holds ${disk.existing ?? disk.content}`;
  options(select, others.map((disk) => [disk.path, text(disk)]));
  for (const option of select.options) option.selected = before.includes(option.value);
  byId("apart").hidden = others.length === 0;
  const count = select.selectedOptions.length;
  form.elements.level.parentElement.hidden = count < 2;
  return count;
}

function adapt() {
  const disk = chosen();
  offerSecond(disk);
  offerStorage(disk);
  byId("actions").hidden = !disk?.existing;
  byId("found").textContent = disk?.existing ? `This disk already holds ${disk.existing}.` : "";
  for (const label of document.querySelectorAll("[data-action]")) {
    label.hidden = !disk?.actions.includes(label.dataset.action);
  }
  byId("host").hidden = Boolean(disk?.existing) && form.elements.action.value === "repair";
}

async function look() {
  const choices = await call("GET", "/api/choices");
  byId("version").textContent = choices.version;
  disks = choices.disks;
  storages = choices.storages;
  options(form.elements.level, choices.levels.filter(([name]) => name !== "single"));
  // A key that somebody has copied stays, however often disks are looked for.
  recoveryKey ??= choices.recovery_key;
  byId("disks").replaceChildren(...disks.map(diskRow));
  const usable = disks.flatMap((disk, index) => (disk.refusal ? [] : [index]));
  if (usable.length === 1) byId("disks").querySelectorAll("input")[usable[0]].checked = true;
  const names = choices.keyboards.length ? choices.keyboards : ["us"];
  options(form.elements.keyboard, names.map((name) => [name, name]));
  form.elements.keyboard.value = "us";
  const cards = choices.cards.map(({ name, mac }) => [mac, `${name} ${mac}`]);
  options(form.elements.port, [["", "The first one"], ...cards]);
  byId("timezones").replaceChildren(...choices.timezones.map((zone) => new Option(zone)));
  adapt();
  show("form-view");
}

/** The filled-in form as an answer file; what is empty is left out. */
function collect() {
  const text = (name) => form.elements[name].value.trim();
  const list = (name, separator) => text(name).split(separator).map((s) => s.trim()).filter(Boolean);
  const table = (entries) => Object.fromEntries(Object.entries(entries).filter(([, v]) => v?.length));
  const disk = chosen();
  if (!disk) throw new Error("disk: choose one");
  const poolDisks = byId("apart").hidden
    ? []
    : [...form.elements.pool_disks.selectedOptions].map((option) => ({ device: option.value }));
  if (form.elements.root_password.value !== form.elements.again.value) {
    throw new Error("root_password: these are two different passwords");
  }
  const encrypted = !byId("data").hidden && Boolean(recoveryKey) && form.elements.encrypted.checked;
  if (encrypted && !form.elements.key_kept.checked) {
    throw new Error("data: keep a copy of the recovery key, and say so");
  }
  return {
    ...table({
      hostname: text("hostname"),
      timezone: text("timezone"),
      keyboard: text("keyboard"),
      email: text("email"),
      root_password: form.elements.root_password.value,
      root_ssh_keys: list("root_ssh_keys", "\n"),
    }),
    network: table({
      port: text("port"),
      address: text("address"),
      gateway: text("gateway"),
      dns: list("dns", /[\s,]+/),
    }),
    disk: { device: disk.path },
    ...(text("mirror") ? { mirror: { device: text("mirror") } } : {}),
    data: byId("data").hidden
      ? {}
      : table({
          storage: text("storage"),
          system_size: byId("system-size").hidden ? "" : text("system_size"),
          disks: poolDisks,
          level: poolDisks.length > 1 ? text("level") : "",
          encryption: encrypted ? "tpm" : "",
          recovery_key: encrypted ? recoveryKey : "",
        }),
    existing: disk.existing ? table({ action: form.elements.action.value }) : {},
  };
}

async function check() {
  for (const place of document.querySelectorAll(".fault")) place.textContent = "";
  answers = collect();
  const { rows, destroys } = await call("POST", "/api/check", answers);
  const cells = rows.flatMap(([name, value]) => {
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, detail.textContent] = [name, value];
    return [term, detail];
  });
  byId("summary").replaceChildren(...cells);
  byId("install").textContent = destroys ? "Erase the disk and install" : "Install";
  show("summary-view");
}

async function install() {
  await call("POST", "/api/install", answers);
  await watch();
}

async function watch() {
  show("progress-view");
  for (;;) {
    let standing;
    try {
      standing = await call("GET", "/api/standing");
    } catch (error) {
      if (error.status) throw error;
      byId("next").textContent = "The installer does not answer any more.";
      return;
    }
    const [what, percent] = standing.copying ?? ["", undefined];
    byId("line").textContent = standing.line;
    byId("copying").textContent = standing.copying ? `${what}: ${percent} %` : "";
    if (percent === undefined) byId("bar").removeAttribute("value");
    else byId("bar").value = percent;
    if (standing.phase === "finished" || standing.phase === "failed") return ended(standing.phase);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function ended(phase) {
  byId("bar").hidden = true;
  byId("again").hidden = phase !== "failed";
  if (phase === "finished") {
    const address = answers?.network?.address?.split("/")[0];
    const host = address?.includes(":") ? `[${address}]` : address;
    byId("next").textContent =
      `The machine restarts. Then open https://${host ?? location.hostname}:8006/ and log in as root.`;
  }
}

async function begin() {
  const standing = await call("GET", "/api/standing");
  byId("version").textContent = standing.version;
  if (standing.phase === "asking") await look();
  else await watch();
}

byId("code-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await call("POST", "/api/session", { code: byId("code").value });
    await begin();
  });
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(check);
});
form.addEventListener("change", adapt);
byId("look-again").addEventListener("click", () => attempt(look));
byId("back").addEventListener("click", () => show("form-view"));
byId("install").addEventListener("click", () => attempt(install));
byId("again").addEventListener("click", () => attempt(async () => {
  await call("POST", "/api/again", {});
  byId("next").textContent = "Starting over: enter the new code from the console.";
}));
attempt(begin);
