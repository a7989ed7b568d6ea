/** What a user or token may do in the end: groups, roles and pools taken together. */
import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { fieldsOf } from "../../api/error";
import { queries } from "../../api/queries";
import { Loaded } from "../../components/Loaded";
import { PathField } from "../../components/PathField";
import { checkPath, type Permissions } from "../../model/access";

interface PermissionsDialogProps {
  /** User or token. */
  authid: string;
  onClose: () => void;
}

export default function PermissionsDialog({ authid, onClose }: PermissionsDialogProps) {
  const [path, setPath] = useState("");
  const [asked, setAsked] = useState("");
  const [tried, setTried] = useState(false);
  const query = useQuery(queries.permissions(authid, asked));
  const wrong = path === "" ? undefined : checkPath(path);

  function ask(event: FormEvent): void {
    event.preventDefault();
    setTried(wrong !== undefined);
    if (wrong === undefined) setAsked(path);
  }
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="permissions-title">
      <ModalHeader
        title={`What ${authid} may do`}
        labelId="permissions-title"
        description="Roles of the user and of its groups, on paths and on pools, taken together."
      />
      <ModalBody>
        <div className="stack">
          <Form id="permissions-form" onSubmit={ask} noValidate>
            <PathField
              id="permissions-path"
              hint="What holds for one thing, such as /vms/100; empty for every path on which something is given."
              value={path}
              complaint={(tried ? wrong : undefined) ?? fieldsOf(query.error)["path"]}
              onChange={setPath}
            />
          </Form>
          <Loaded what="permissions" query={query}>
            {(found) => <PermissionTable permissions={found} authid={authid} />}
          </Loaded>
        </div>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="permissions-form" variant="secondary">
          Show
        </Button>
        <Button onClick={onClose}>Close</Button>
      </ModalFooter>
    </Modal>
  );
}

function PermissionTable({ permissions, authid }: { permissions: Permissions; authid: string }) {
  const rows = Object.entries(permissions).filter(([, has]) => Object.keys(has).length > 0);
  if (rows.length === 0) return <p className="quiet">Nothing.</p>;
  return (
    <Table aria-label={`What ${authid} may do`} variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th width={25}>Path</Th>
          <Th>Also below</Th>
          <Th>Only here</Th>
        </Tr>
      </Thead>
      <Tbody>
        {rows.map(([path, has]) => {
          const names = Object.keys(has).sort();
          return (
            <Tr key={path}>
              <Td dataLabel="Path" modifier="breakWord">
                <code>{path}</code>
              </Td>
              <Td dataLabel="Also below" modifier="breakWord">
                {names.filter((name) => has[name] === 1).join(", ") || "–"}
              </Td>
              <Td dataLabel="Only here" modifier="breakWord">
                {names.filter((name) => has[name] !== 1).join(", ") || "–"}
              </Td>
            </Tr>
          );
        })}
      </Tbody>
    </Table>
  );
}
