/**
 * Tasks started from this page: remembered until they end, then announced.
 *
 * `track` is called with the UPID an action returned; the shell's task poll calls `settle` with the list it got, and
 * whoever subscribed hears of each end once.
 */
import { parseUpid, taskOutcome, taskTitle, type TaskOutcome } from "../model/upid";
import type { Task, Upid } from "./types";

export interface Ended {
  task: Task;
  title: string;
  outcome: Exclude<TaskOutcome, "running">;
}

/** Remembers running tasks and tells who listens when they end. */
export class TaskWatch {
  private readonly pending = new Map<Upid, string>();
  private readonly listeners = new Set<(ended: Ended) => void>();

  /** Begins watching; things that are no UPID (a call that was done at once) are ignored. */
  track(upid: unknown, title?: string): void {
    if (typeof upid !== "string") return;
    const parsed = parseUpid(upid);
    if (parsed) this.pending.set(upid, title ?? taskTitle(parsed));
  }

  get size(): number {
    return this.pending.size;
  }

  /** Compares what is watched with the present list of tasks. */
  settle(tasks: readonly Task[]): void {
    for (const task of tasks) {
      const title = this.pending.get(task.upid);
      const outcome = taskOutcome(task);
      if (title === undefined || outcome === "running") continue;
      this.pending.delete(task.upid);
      for (const listener of this.listeners) listener({ task, title, outcome });
    }
  }

  subscribe(listener: (ended: Ended) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The page's watch. */
export const taskWatch = new TaskWatch();
