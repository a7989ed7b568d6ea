/** Tasks as a compact table; a click opens the log. */
import { Button } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Task } from "../api/types";
import { openDialog } from "../dialogs/store";
import { moment } from "../model/format";
import { taskDuration, taskOutcome, taskTitle } from "../model/upid";
import { OutcomeLabel } from "./OutcomeLabel";

export function TaskTable({ tasks, label }: { tasks: readonly Task[]; label: string }) {
  return (
    <Table aria-label={label} variant="compact" gridBreakPoint="grid-md" isStickyHeader>
      <Thead>
        <Tr>
          <Th>Started</Th>
          <Th>Task</Th>
          <Th>Status</Th>
          <Th>Took</Th>
          <Th>User</Th>
          <Th>Node</Th>
        </Tr>
      </Thead>
      <Tbody>
        {tasks.map((task) => (
          <Tr key={task.upid} isClickable onRowClick={() => openDialog({ kind: "task", task })}>
            <Td dataLabel="Started">{moment(task.starttime)}</Td>
            <Td dataLabel="Task">
              <Button variant="link" isInline onClick={() => openDialog({ kind: "task", task })}>
                {taskTitle(task)}
              </Button>
            </Td>
            <Td dataLabel="Status">
              <OutcomeLabel outcome={taskOutcome(task)} text={task.status} />
            </Td>
            <Td dataLabel="Took">{taskDuration(task)}</Td>
            <Td dataLabel="User">{task.user}</Td>
            <Td dataLabel="Node">{task.node}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
