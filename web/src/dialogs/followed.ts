/** Following a task: its state and its whole log, while it runs. */
import { useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { api } from "../api/client";
import type { LogLine, TaskStatus, Upid } from "../api/types";

interface TaskPlace {
  upid: Upid;
  node: string;
}

export interface Followed {
  status: TaskStatus;
  lines: LogLine[];
}

const PAGE = 500;

/** Asks for the state first and the log after it, so that the log of an ended task is complete. */
async function follow(client: QueryClient, task: TaskPlace, key: readonly unknown[], signal: AbortSignal) {
  const where = { node: task.node, upid: task.upid };
  const status = await api.get("/nodes/{node}/tasks/{upid}/status", where, signal);
  const known = client.getQueryData<Followed>(key)?.lines ?? [];
  const lines = isPlaceholder(known) ? [] : [...known];
  for (;;) {
    const more = await api.get(
      "/nodes/{node}/tasks/{upid}/log",
      { ...where, start: lines.length, limit: PAGE },
      signal,
    );
    lines.push(...more);
    if (more.length < PAGE) return { status, lines };
  }
}

/** An empty log is sent as one line that says so; it must not count as the first. */
export function isPlaceholder(lines: readonly LogLine[]): boolean {
  return lines.length === 1 && lines[0]?.t === "no content";
}

/** A task's state and log, read until it ends. */
export function useFollowed(task: TaskPlace) {
  const client = useQueryClient();
  const key = ["task", task.upid];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => follow(client, task, key, signal),
    refetchInterval: (query) => (query.state.data?.status.status === "stopped" ? false : 1500),
  });
}
