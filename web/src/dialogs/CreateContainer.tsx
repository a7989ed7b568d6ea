/** The wizard that makes a container. */
import { Radio, TextArea, WizardStep } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { taskWatch } from "../api/watch";
import { Facts } from "../components/Facts";
import { described, FormField } from "../components/FormField";
import { checkContainer, containerParams, placeContainerErrors, type ContainerForm } from "../model/create";
import { bytes } from "../model/format";
import { guestPath } from "../model/guest";
import { splitVolid } from "../model/volume";
import {
  CheckField,
  SelectField,
  StepForm,
  stepOf,
  TextField,
  unplaced,
  useWizardForm,
  WizardFrame,
  type WizardForm,
} from "./wizard";
import { useBridges, useCommonDefaults, useStoragesFor, VolumeField } from "./wizardFields";

const STEPS = {
  general: ["node", "vmid", "hostname", "password", "repeated", "keys"],
  disk: ["template", "storage", "size"],
  size: ["cores", "memory", "swap"],
  network: ["bridge", "addressing", "address", "gateway"],
  review: ["start", "onboot"],
} satisfies Record<string, (keyof ContainerForm)[]>;

function useContainerForm(wanted: string | undefined) {
  const common = useCommonDefaults(wanted);
  const storages = useStoragesFor(common.node, "rootdir");
  const bridges = useBridges(common.node);
  const defaults: ContainerForm = {
    node: common.node,
    vmid: common.vmid,
    hostname: "",
    password: "",
    repeated: "",
    keys: "",
    start: true,
    onboot: false,
    template: "",
    storage: storages[0]?.value ?? "",
    size: "8",
    cores: "1",
    memory: "512",
    swap: "512",
    bridge: bridges[0]?.value ?? "vmbr0",
    addressing: "dhcp",
    address: "",
    gateway: "",
  };
  const wizard = useWizardForm(defaults, STEPS, (form) => checkContainer(form, common.taken));
  return { wizard, nodes: common.nodes };
}

export default function CreateContainer({
  node,
  onClose,
}: {
  node?: string | undefined;
  onClose: () => void;
}) {
  const { wizard, nodes } = useContainerForm(node);
  const client = useQueryClient();
  const navigate = useNavigate();
  const { form } = wizard;
  const create = useMutation({ mutationFn: () => api.post("/nodes/{node}/lxc", containerParams(form)) });

  const refusal = unplaced(create.error, placeContainerErrors(form, fieldsOf(create.error)).rest);

  async function finish(): Promise<string | undefined> {
    try {
      const upid = await create.mutateAsync();
      taskWatch.track(upid, `Create container ${form.vmid} (${form.hostname})`);
      await client.invalidateQueries({ queryKey: ["tasks"] });
      void client.invalidateQueries({ queryKey: ["resources"] });
      onClose();
      void navigate(guestPath({ node: form.node, type: "lxc", vmid: Number(form.vmid) }));
      return undefined;
    } catch (error) {
      const { placed } = placeContainerErrors(form, fieldsOf(error));
      wizard.refuse(placed);
      return stepOf<ContainerForm>(STEPS, (field) => placed[field] !== undefined);
    }
  }
  const status = (step: string) => (wizard.hasShown(step) ? ("error" as const) : ("default" as const));

  return (
    <WizardFrame
      title="Create container"
      description="A Linux system of its own on the host's kernel, unprivileged."
      verb="Create"
      wizard={wizard}
      pending={create.isPending}
      onFinish={finish}
      onClose={onClose}
    >
      <WizardStep id="general" name="General" status={status("general")}>
        <General wizard={wizard} nodes={nodes} error={refusal} />
      </WizardStep>
      <WizardStep id="disk" name="Template and disk" status={status("disk")}>
        <Disk wizard={wizard} error={refusal} />
      </WizardStep>
      <WizardStep id="size" name="CPU and memory" status={status("size")}>
        <StepForm error={refusal}>
          <TextField wizard={wizard} field="cores" label="Cores" numeric required />
          <TextField wizard={wizard} field="memory" label="Memory (MiB)" numeric required />
          <TextField wizard={wizard} field="swap" label="Swap (MiB)" numeric required />
        </StepForm>
      </WizardStep>
      <WizardStep id="network" name="Network" status={status("network")}>
        <Network wizard={wizard} error={refusal} />
      </WizardStep>
      <WizardStep id="review" name="Review">
        <Review wizard={wizard} error={refusal} />
      </WizardStep>
    </WizardFrame>
  );
}

interface StepProps {
  wizard: WizardForm<ContainerForm>;
  error: unknown;
}

function General({ wizard, nodes, error }: StepProps & { nodes: string[] }) {
  return (
    <StepForm error={error}>
      {nodes.length > 1 && (
        <SelectField
          wizard={wizard}
          field="node"
          label="Node"
          required
          options={nodes.map((n) => ({ value: n, label: n }))}
        />
      )}
      <TextField wizard={wizard} field="hostname" label="Host name" required />
      <TextField
        wizard={wizard}
        field="vmid"
        label="Number"
        numeric
        required
        hint="Identifies the guest; the next free one is filled in."
      />
      <TextField
        wizard={wizard}
        field="password"
        label="Root password"
        type="password"
        hint="At least 5 characters. May stay empty when an SSH key is given."
      />
      <TextField wizard={wizard} field="repeated" label="Repeat password" type="password" />
      <SshKeys wizard={wizard} />
    </StepForm>
  );
}

function SshKeys({ wizard }: { wizard: WizardForm<ContainerForm> }) {
  const complaint = wizard.complaint("keys");
  return (
    <FormField id="keys" label="SSH public keys" hint="One a line, for root." complaint={complaint}>
      <TextArea
        {...described("keys", complaint)}
        rows={2}
        resizeOrientation="vertical"
        value={wizard.form.keys}
        onChange={(_event, value) => wizard.set("keys", value)}
      />
    </FormField>
  );
}

function Disk({ wizard, error }: StepProps) {
  const { node } = wizard.form;
  const storages = useStoragesFor(node, "rootdir");
  return (
    <StepForm error={error}>
      <VolumeField
        wizard={wizard}
        field="template"
        label="Template"
        node={node}
        kind="vztmpl"
        required
        empty="Choose a template"
      />
      <SelectField
        wizard={wizard}
        field="storage"
        label="Storage"
        required
        options={storages}
        {...(storages.length === 0 ? { empty: "No storage takes container disks" } : {})}
      />
      <TextField wizard={wizard} field="size" label="Root disk size (GiB)" numeric required />
    </StepForm>
  );
}

function Network({ wizard, error }: StepProps) {
  const { addressing, node } = wizard.form;
  return (
    <StepForm error={error}>
      <SelectField wizard={wizard} field="bridge" label="Bridge" required options={useBridges(node)} />
      <div role="radiogroup" aria-label="IPv4 address" className="stack-tight">
        <Radio
          id="addressing-dhcp"
          name="addressing"
          label="Automatic (DHCP)"
          isChecked={addressing === "dhcp"}
          onChange={() => wizard.set("addressing", "dhcp")}
        />
        <Radio
          id="addressing-static"
          name="addressing"
          label="Static"
          isChecked={addressing === "static"}
          onChange={() => wizard.set("addressing", "static")}
        />
      </div>
      {addressing === "static" && (
        <>
          <TextField wizard={wizard} field="address" label="Address" placeholder="192.0.2.10/24" required />
          <TextField wizard={wizard} field="gateway" label="Gateway" placeholder="192.0.2.1" />
        </>
      )}
    </StepForm>
  );
}

function Review({ wizard, error }: StepProps) {
  const { form } = wizard;
  const access = [form.password && "password", form.keys.trim() && "SSH key"].filter(Boolean).join(" and ");
  return (
    <StepForm error={error}>
      <Facts
        facts={{
          "Host name": `${form.hostname} (${form.vmid}) on ${form.node}`,
          Access: `root by ${access}`,
          Template: form.template ? splitVolid(form.template).file : "none",
          Disk: `${form.size} GiB on ${form.storage}`,
          Size: `${form.cores} core${form.cores === "1" ? "" : "s"}, ${bytes(Number(form.memory) * 1024 * 1024)} memory, ${bytes(Number(form.swap) * 1024 * 1024)} swap`,
          Network:
            form.addressing === "dhcp"
              ? `${form.bridge}, DHCP`
              : `${form.bridge}, ${form.address}${form.gateway ? ` via ${form.gateway}` : ""}`,
        }}
      />
      <div className="stack-tight">
        <CheckField wizard={wizard} field="start" label="Start after creation" />
        <CheckField wizard={wizard} field="onboot" label="Start when the host starts" />
      </div>
    </StepForm>
  );
}
