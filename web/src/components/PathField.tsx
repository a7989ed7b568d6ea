/** A path that permissions are given on; those of what there is are suggested. */
import { TextInput } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { queries, useInventory } from "../api/queries";
import { poolPath } from "../model/pools";
import { described, FormField } from "./FormField";

const ROOTS = ["/", "/access", "/access/groups", "/mapping", "/nodes", "/pool", "/storage", "/vms"];

function usePaths(): string[] {
  const { inventory } = useInventory();
  const { data: pools = [] } = useQuery(queries.pools());
  const { data: groups = [] } = useQuery(queries.groups());
  const { data: realms = [] } = useQuery(queries.realms());
  const found = [
    ...(inventory?.nodes ?? []).map(({ node }) => `/nodes/${node}`),
    ...(inventory?.guests ?? []).map(({ vmid }) => `/vms/${vmid}`),
    ...(inventory?.storages ?? []).map(({ storage }) => `/storage/${storage}`),
    ...pools.map(({ poolid }) => poolPath(poolid)),
    ...groups.map(({ groupid }) => `/access/groups/${groupid}`),
    ...realms.map(({ realm }) => `/access/realm/${realm}`),
  ];
  return [...new Set([...ROOTS, ...found])];
}

interface PathFieldProps {
  id: string;
  required?: boolean;
  hint: string;
  value: string;
  complaint: string | undefined;
  onChange: (path: string) => void;
}

export function PathField({ id, required = false, hint, value, complaint, onChange }: PathFieldProps) {
  const list = useId();
  const paths = usePaths();
  return (
    <FormField id={id} label="Path" required={required} hint={hint} complaint={complaint}>
      <TextInput
        {...described(id, complaint)}
        list={list}
        autoComplete="off"
        value={value}
        onChange={(_event, path) => onChange(path)}
      />
      <datalist id={list}>
        {paths.map((path) => (
          <option key={path} value={path} />
        ))}
      </datalist>
    </FormField>
  );
}
