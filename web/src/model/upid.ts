/** Task identifiers and what to call a task. */
import type { Task } from "../api/types";
import { duration } from "./format";

export interface ParsedUpid {
  node: string;
  pid: number;
  pstart: number;
  start: number;
  type: string;
  id: string;
  user: string;
}

/** Reads `UPID:node:PID:PSTART:START:type:id:user:` (numbers in hex); undefined when it is none. */
export function parseUpid(upid: string): ParsedUpid | undefined {
  const parts = upid.split(":");
  if (parts.length !== 9 || parts[0] !== "UPID" || parts[8] !== "") return undefined;
  const [, node, pid, pstart, start, type, id, user] = parts;
  const numbers = [pid, pstart, start].map((hex) =>
    /^[0-9A-F]{8,}$/i.test(hex ?? "") ? parseInt(hex!, 16) : NaN,
  );
  if (!node || !type || !user || numbers.some(Number.isNaN)) return undefined;
  return { node, pid: numbers[0]!, pstart: numbers[1]!, start: numbers[2]!, type, id: id ?? "", user };
}

const VERBS: Record<string, string> = {
  update: "Update",
  qmstart: "Start VM",
  qmstop: "Stop VM",
  qmshutdown: "Shut down VM",
  qmreboot: "Reboot VM",
  qmreset: "Reset VM",
  qmcreate: "Create VM",
  qmdestroy: "Delete VM",
  qmconfig: "Configure VM",
  vzstart: "Start container",
  vzstop: "Stop container",
  vzshutdown: "Shut down container",
  vzreboot: "Reboot container",
  vzcreate: "Create container",
  vzdestroy: "Delete container",
  vncproxy: "Console of guest",
  termproxy: "Console of guest",
  vncshell: "Node shell",
  imgcopy: "Copy file",
  imgdel: "Delete volume",
  upload: "Upload",
  download: "Download",
  srvreload: "Reload service",
  srvrestart: "Restart service",
  aptupdate: "Update package lists",
};

/** A short human name, such as "Start VM 100". */
export function taskTitle(task: { type: string; id?: string | undefined }): string {
  const verb = VERBS[task.type] ?? task.type;
  return task.id ? `${verb} ${task.id}` : verb;
}

export type TaskOutcome = "running" | "ok" | "warning" | "failed";

/** How a task stands: no status means it still runs. */
export function taskOutcome(task: Pick<Task, "status" | "endtime">): TaskOutcome {
  if (!task.status || task.status === "running") return task.endtime ? "failed" : "running";
  return exitOutcome(task.status);
}

/** Reads an exit status: `OK`, `WARNINGS: n`, or the text of an error. */
export function exitOutcome(exitstatus: string): Exclude<TaskOutcome, "running"> {
  if (exitstatus === "OK") return "ok";
  return exitstatus.startsWith("WARNINGS") ? "warning" : "failed";
}

/** True for tasks that only hold a console open: they are no news. */
export function isConsoleTask(task: { type: string }): boolean {
  return task.type === "vncproxy" || task.type === "termproxy" || task.type === "vncshell";
}

/** How long a task took, or has been running. */
export function taskDuration(task: Pick<Task, "starttime" | "endtime">, now = Date.now() / 1000): string {
  return duration(Math.max(0, (task.endtime ?? now) - task.starttime));
}
