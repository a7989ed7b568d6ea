/** A task's state and log, followed while it runs. */
import {
  Button,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Progress,
  Skeleton,
  Switch,
} from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { api } from "../api/client";
import type { LogLine, Task, TaskStatus } from "../api/types";
import { ErrorNote } from "../components/ErrorNote";
import { OutcomeLabel } from "../components/OutcomeLabel";
import { moment } from "../model/format";
import { exitOutcome, taskTitle } from "../model/upid";
import { isPlaceholder, useFollowed } from "./followed";

type TaskHead = Pick<Task, "upid" | "node" | "type" | "id" | "user" | "starttime">;

export default function TaskDialog({ task, onClose }: { task: TaskHead; onClose: () => void }) {
  const followed = useFollowed(task);
  const status = followed.data?.status;
  const running = status?.status === "running";
  const cancel = useMutation({
    mutationFn: () => api.delete("/nodes/{node}/tasks/{upid}", { node: task.node, upid: task.upid }),
    onSuccess: () => followed.refetch(),
  });
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="task-title">
      <ModalHeader title={taskTitle(task)} labelId="task-title" />
      <ModalBody>
        <div className="stack">
          {followed.error && <ErrorNote title="The task cannot be read" error={followed.error} />}
          {cancel.error && <ErrorNote title="The task cannot be stopped" error={cancel.error} />}
          <TaskFacts task={task} status={status} />
          {running && status.progress !== undefined && (
            <Progress aria-label="Task progress" value={status.progress} measureLocation="outside" />
          )}
          <TaskLog lines={followed.data?.lines} running={running} />
        </div>
      </ModalBody>
      <ModalFooter>
        {running && (
          <Button variant="danger" onClick={() => cancel.mutate()} isDisabled={cancel.isPending}>
            Stop task
          </Button>
        )}
        <Button variant={running ? "link" : "primary"} onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}

function TaskFacts({ task, status }: { task: TaskHead; status: TaskStatus | undefined }) {
  const outcome = status?.status === "stopped" ? exitOutcome(status.exitstatus ?? "unknown") : "running";
  return (
    <DescriptionList isHorizontal isCompact columnModifier={{ default: "1Col", md: "2Col" }}>
      <Fact term="Status">
        {status ? <OutcomeLabel outcome={outcome} text={status.exitstatus} /> : <Skeleton width="6rem" />}
      </Fact>
      <Fact term="Started">{moment(task.starttime)}</Fact>
      <Fact term="Node">{task.node}</Fact>
      <Fact term="User">{task.user}</Fact>
    </DescriptionList>
  );
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}

function TaskLog({ lines, running }: { lines: LogLine[] | undefined; running: boolean }) {
  const [following, setFollowing] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, following]);
  const text = lines && !isPlaceholder(lines) ? lines.map((line) => line.t).join("\n") : "";
  return (
    <>
      <div className="log-head">
        <h3>Log</h3>
        {running && (
          <Switch
            id="task-follow"
            label="Follow"
            isChecked={following}
            onChange={(_event, on) => setFollowing(on)}
          />
        )}
      </div>
      <pre ref={box} className="log" role="log" aria-label="Task log" tabIndex={0}>
        {lines === undefined ? "…" : text || "This task has written nothing so far."}
      </pre>
    </>
  );
}
