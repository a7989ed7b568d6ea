/** The API: every method with its parameters, who may call it, and a place to try the reading ones. */
import { Button, Form, Label, SearchInput, Skeleton, TextInput } from "@patternfly/react-core";
import CodeIcon from "@patternfly/react-icons/dist/esm/icons/code-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { getAny } from "../api/client";
import { ErrorNote } from "../components/ErrorNote";
import { FormField } from "../components/FormField";
import { PageHead } from "../components/PageHead";
import { Panel } from "../components/Panel";
import { usePageTitle } from "../components/usePageTitle";
import {
  kindOf,
  loadDescription,
  operations,
  search,
  treeOf,
  type Description,
  type Folder,
  type Operation,
} from "../model/openapi";

export default function ApiPage() {
  usePageTitle("API");
  const { data, error, refetch } = useQuery({
    queryKey: ["description of the API"],
    queryFn: loadDescription,
    staleTime: Infinity,
  });
  return (
    <>
      <PageHead icon={<CodeIcon />} title="API" facts="The methods of this host, below /api2/json" />
      <div className="page-body">
        {error ? (
          <ErrorNote title="The description cannot be read" error={error} onRetry={() => void refetch()} />
        ) : data ? (
          <Explorer description={data} />
        ) : (
          <Skeleton height="20rem" screenreaderText="Loading" />
        )}
      </div>
    </>
  );
}

function Explorer({ description }: { description: Description }) {
  const [params, setParams] = useSearchParams();
  const [wanted, setWanted] = useState("");
  const all = useMemo(() => operations(description), [description]);
  const found = useMemo(() => search(all, wanted), [all, wanted]);
  const tree = useMemo(() => treeOf(found), [found]);
  const chosen = all.find((operation) => operation.id === params.get("method"));
  const choose = (operation: Operation) => setParams({ method: operation.id }, { replace: true });
  return (
    <div className="api">
      <Panel title="Methods">
        <SearchInput
          aria-label="Search methods"
          placeholder="Search paths, words, parameters"
          value={wanted}
          onChange={(_event, text) => setWanted(text)}
          onClear={() => setWanted("")}
          resultsCount={found.length}
        />
        <nav className="api-tree" aria-label="Methods by path">
          <Branches folder={tree} open={wanted.trim() !== ""} chosen={chosen} onChoose={choose} />
          {found.length === 0 && <p className="quiet">No method has these words.</p>}
        </nav>
      </Panel>
      {chosen ? (
        <Method key={chosen.id} operation={chosen} description={description} />
      ) : (
        <Panel title="No method chosen">
          <p className="quiet">Choose one to see its parameters, and who may call it.</p>
        </Panel>
      )}
    </div>
  );
}

interface BranchesProps {
  folder: Folder;
  open: boolean;
  chosen: Operation | undefined;
  onChoose: (operation: Operation) => void;
}

function Branches({ folder, open, chosen, onChoose }: BranchesProps) {
  return (
    <ul>
      {folder.operations.map((operation) => (
        <li key={operation.id}>
          <button
            type="button"
            className="api-method"
            aria-current={operation.id === chosen?.id}
            aria-label={`${operation.id}: ${operation.summary}`}
            onClick={() => onChoose(operation)}
          >
            <Verb verb={operation.verb} />
            <span>{operation.summary}</span>
          </button>
        </li>
      ))}
      {folder.folders.map((below) => (
        <li key={below.path}>
          <Branch folder={below} open={open} chosen={chosen} onChoose={onChoose} />
        </li>
      ))}
    </ul>
  );
}

/** A folder's content is made when it is opened: all of them together are some hundred methods. */
function Branch({ folder, open, chosen, onChoose }: BranchesProps) {
  const [unfolded, setUnfolded] = useState(false);
  const leads = chosen?.path === folder.path || chosen?.path.startsWith(`${folder.path}/`);
  const shown = open || unfolded || leads === true;
  return (
    <>
      <button
        type="button"
        className="api-folder"
        aria-expanded={shown}
        onClick={() => setUnfolded(!unfolded)}
      >
        <span aria-hidden="true">{shown ? "▾" : "▸"}</span> {folder.name}
      </button>
      {shown && <Branches folder={folder} open={open} chosen={chosen} onChoose={onChoose} />}
    </>
  );
}

const COLORS = { GET: "blue", POST: "green", PUT: "orange", DELETE: "red" } as const;

function Verb({ verb }: { verb: string }) {
  return (
    <Label isCompact color={COLORS[verb as keyof typeof COLORS] ?? "grey"}>
      {verb}
    </Label>
  );
}

function Method({ operation, description }: { operation: Operation; description: Description }) {
  return (
    <div>
      <Panel title={operation.summary}>
        <p className="api-path">
          <Verb verb={operation.verb} /> <code>{operation.path}</code>
        </p>
        {operation.about && <p>{operation.about}</p>}
        <p>
          <strong>Who may:</strong> {operation.permission}
        </p>
        <p>
          <strong>Answer:</strong> {kindOf(description, operation.result)}
        </p>
        {operation.fields.length > 0 && <Fields operation={operation} />}
      </Panel>
      {operation.verb === "GET" && <Trial operation={operation} />}
    </div>
  );
}

function Fields({ operation }: { operation: Operation }) {
  return (
    <Table aria-label="Parameters" variant="compact">
      <Thead>
        <Tr>
          <Th>Parameter</Th>
          <Th>Values</Th>
          <Th>What it is</Th>
        </Tr>
      </Thead>
      <Tbody>
        {operation.fields.map((field) => (
          <Tr key={field.name}>
            <Td dataLabel="Parameter">
              <code>{field.name}</code>
              {field.required && <span className="quiet"> required</span>}
            </Td>
            <Td dataLabel="Values">{field.kind}</Td>
            <Td dataLabel="What it is">{field.about}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** Calls the method as the user who is logged in. */
function Trial({ operation }: { operation: Operation }) {
  const [values, setValues] = useState<Record<string, string>>({});
  const [asked, setAsked] = useState<Record<string, string>>();
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
  const missing = operation.fields.filter((field) => field.required && !given[field.name]);
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["try", operation.id, asked],
    queryFn: ({ signal }) => getAny(operation.path, asked ?? {}, signal),
    enabled: asked !== undefined,
    retry: false,
    gcTime: 0,
  });
  const same = JSON.stringify(asked) === JSON.stringify(given);
  const call = () => (same ? void refetch() : setAsked(given));
  return (
    <Panel title="Try it">
      <Form
        onSubmit={(event) => {
          event.preventDefault();
          call();
        }}
      >
        {operation.fields.map((field) => (
          <FormField
            key={field.name}
            id={`try-${field.name}`}
            label={field.name}
            required={field.required}
            hint={field.kind}
          >
            <TextInput
              id={`try-${field.name}`}
              value={values[field.name] ?? ""}
              onChange={(_event, text) => setValues({ ...values, [field.name]: text })}
            />
          </FormField>
        ))}
        <Button type="submit" isDisabled={missing.length > 0} isLoading={isFetching}>
          Call
        </Button>
      </Form>
      {error && <ErrorNote title="The call failed" error={error} />}
      {data !== undefined && !error && (
        <pre className="api-answer" aria-label="Answer">
          {JSON.stringify(data, null, 2)}
        </pre>
      )}
    </Panel>
  );
}
