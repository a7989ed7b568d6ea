/** Fields of the wizards that need to ask the server what there is. */
import { Button } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queries, useInventory, useVolumes, type PlacedVolume } from "../api/queries";
import { bytes } from "../model/format";
import { contentKinds, KINDS, splitVolid, type UploadKind } from "../model/volume";
import { SelectField, type WizardForm } from "./wizard";
import UploadDialog from "./UploadDialog";

/** What both wizards start from: a free number, the nodes, and what is taken. */
export function useCommonDefaults(wanted: string | undefined) {
  const nextId = useQuery(queries.nextId());
  const { inventory } = useInventory();
  const nodes = (inventory?.nodes ?? []).map((n) => n.node ?? "");
  return {
    nodes,
    node: wanted ?? nodes[0] ?? "",
    vmid: nextId.data ?? "",
    taken: (inventory?.guests ?? []).map((g) => g.vmid),
  };
}

/** Storages of a node that can hold a content kind; pools made for guests come before directories. */
export function useStoragesFor(node: string, kind: string): { value: string; label: string }[] {
  const { data = [] } = useQuery({ ...queries.storages(node), enabled: node !== "" });
  return data
    .filter((s) => contentKinds(s.content).includes(kind) && s.active !== 0 && s.enabled !== 0)
    .sort((a, b) => Number(a.type === "dir") - Number(b.type === "dir"))
    .map((s) => ({ value: s.storage, label: `${s.storage} (${bytes(s.avail)} free)` }));
}

/** Bridges of a node; `vmbr0` when the node does not say. */
export function useBridges(node: string): { value: string; label: string }[] {
  const { data } = useQuery({ ...queries.bridges(node), enabled: node !== "" });
  const names = data?.map((b) => b.iface) ?? [];
  return (names.length > 0 ? names : ["vmbr0"]).map((name) => ({ value: name, label: name }));
}

interface VolumeFieldProps<F> {
  wizard: WizardForm<F>;
  field: keyof F & string;
  label: string;
  node: string;
  kind: UploadKind;
  hint?: string;
  required?: boolean;
  empty: string;
  suits?: (volume: PlacedVolume) => boolean;
}

/** A choice among the volumes of a kind, with a way to upload one without leaving the wizard. */
export function VolumeField<F>({ node, kind, suits = () => true, hint, ...field }: VolumeFieldProps<F>) {
  const { data: volumes } = useVolumes(node, kind);
  const { data: storages = [] } = useQuery({ ...queries.storages(node), enabled: node !== "" });
  const [uploading, setUploading] = useState(false);
  const target = storages.find((s) => contentKinds(s.content).includes(kind));
  const none =
    volumes?.length === 0 ? `There are no ${KINDS[kind].name.toLowerCase()} yet; upload one first.` : hint;
  const options = (volumes ?? [])
    .filter(suits)
    .map((v) => ({ value: v.volid, label: `${splitVolid(v.volid).file} (${v.storage}, ${bytes(v.size)})` }));
  return (
    <>
      <SelectField
        {...field}
        hint={none}
        options={options}
        beside={
          target && (
            <Button
              variant="secondary"
              aria-label={`Upload for ${field.label}`}
              onClick={() => setUploading(true)}
            >
              Upload…
            </Button>
          )
        }
      />
      {uploading && target && (
        <UploadDialog
          node={node}
          storage={target.storage}
          kinds={[kind]}
          preset={kind}
          onClose={() => setUploading(false)}
        />
      )}
    </>
  );
}

/** Whether a file of kind `kernel` is an initial RAM disk, by its name. */
export function isInitrd(volume: PlacedVolume): boolean {
  return /^(initrd|initramfs)/i.test(splitVolid(volume.volid).file);
}
