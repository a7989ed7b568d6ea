/** Recent tasks at the foot of every page: one line when folded, a table when open. */
import { Button, Spinner } from "@patternfly/react-core";
import AngleDownIcon from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
import AngleUpIcon from "@patternfly/react-icons/dist/esm/icons/angle-up-icon";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { queries } from "../api/queries";
import type { Task } from "../api/types";
import { taskWatch } from "../api/watch";
import { OutcomeLabel } from "../components/OutcomeLabel";
import { TaskTable } from "../components/TaskTable";
import { openDialog } from "../dialogs/store";
import { moment } from "../model/format";
import { isConsoleTask, taskOutcome, taskTitle } from "../model/upid";
import { showToast } from "./toasts";

const KEY = "basalt-tasks-open";
const MOST = 100;

/** Running ones first, then the newest; consoles are left out. */
export function arrangeTasks(tasks: readonly Task[]): Task[] {
  const rank = (task: Task) => (taskOutcome(task) === "running" ? 0 : 1);
  return tasks
    .filter((task) => !isConsoleTask(task))
    .sort((a, b) => rank(a) - rank(b) || b.starttime - a.starttime)
    .slice(0, MOST);
}

/** Tells of tasks started here as they end, and refreshes what they may have changed. */
function useTaskNews(tasks: readonly Task[] | undefined): void {
  const client = useQueryClient();
  useEffect(
    () =>
      taskWatch.subscribe(({ task, title, outcome }) => {
        const variant = outcome === "ok" ? "success" : outcome === "warning" ? "warning" : "danger";
        showToast({
          variant,
          title: outcome === "failed" ? `${title} failed` : `${title} done`,
          body: outcome === "ok" ? undefined : <TaskNews task={task} />,
        });
        for (const key of ["resources", "node", "guest"]) void client.invalidateQueries({ queryKey: [key] });
      }),
    [client],
  );
  useEffect(() => {
    if (tasks) taskWatch.settle(tasks);
  }, [tasks]);
}

function TaskNews({ task }: { task: Task }) {
  return (
    <>
      <p>{task.status}</p>
      <Button variant="link" isInline onClick={() => openDialog({ kind: "task", task })}>
        Show log
      </Button>
    </>
  );
}

export function TaskDrawer() {
  const { data, error } = useQuery(queries.tasks());
  const [open, setOpen] = useState(() => localStorage.getItem(KEY) === "1");
  const tasks = useMemo(() => arrangeTasks(data ?? []), [data]);
  useTaskNews(data);

  function toggle(): void {
    localStorage.setItem(KEY, open ? "0" : "1");
    setOpen(!open);
  }

  return (
    <section className={`drawer ${open ? "drawer-open" : ""}`} aria-label="Tasks">
      <header className="drawer-head">
        <Button
          variant="plain"
          size="sm"
          className="drawer-toggle"
          aria-expanded={open}
          aria-controls="task-list"
          onClick={toggle}
          icon={open ? <AngleDownIcon /> : <AngleUpIcon />}
        >
          Recent tasks
        </Button>
        <DrawerLine tasks={tasks} failed={Boolean(error)} />
      </header>
      {open && (
        <div id="task-list" className="drawer-body">
          {tasks.length > 0 ? (
            <TaskTable tasks={tasks} label="Recent tasks" />
          ) : (
            <p className="quiet pad">No tasks yet. What you start, stop, create or upload shows up here.</p>
          )}
        </div>
      )}
    </section>
  );
}

function DrawerLine({ tasks, failed }: { tasks: readonly Task[]; failed: boolean }) {
  const running = tasks.filter((task) => taskOutcome(task) === "running").length;
  const newest = tasks[0];
  if (failed && !newest) return <span className="quiet">The task list cannot be read at the moment.</span>;
  return (
    <span className="drawer-line" aria-live="polite">
      {running > 0 && (
        <span className="drawer-running">
          <Spinner size="sm" aria-label="Tasks are running" /> {running} running
        </span>
      )}
      {newest && (
        <span className="drawer-newest">
          <span>{taskTitle(newest)}</span>
          {taskOutcome(newest) !== "running" && (
            <OutcomeLabel outcome={taskOutcome(newest)} text={newest.status} />
          )}
          <span className="quiet">{moment(newest.endtime ?? newest.starttime)}</span>
        </span>
      )}
    </span>
  );
}
