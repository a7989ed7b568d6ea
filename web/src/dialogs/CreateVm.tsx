/** The wizard that makes a virtual machine. */
import { Radio, WizardStep } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { useVolumes } from "../api/queries";
import { taskWatch } from "../api/watch";
import { Facts } from "../components/Facts";
import { checkVm, DEFAULT_CMDLINE, placeVmErrors, vmParams, type VmForm } from "../model/create";
import { guestPath } from "../model/guest";
import { bytes } from "../model/format";
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
import { isInitrd, useBridges, useCommonDefaults, useStoragesFor, VolumeField } from "./wizardFields";

const STEPS = {
  general: ["node", "vmid", "name"],
  boot: ["kernel", "initrd", "cmdline"],
  disk: ["storage", "source", "size", "image"],
  size: ["cores", "memory"],
  network: ["bridge", "mac"],
  review: ["start", "onboot"],
} satisfies Record<string, (keyof VmForm)[]>;

type Form = WizardForm<VmForm>;

function useVmForm(wanted: string | undefined) {
  const common = useCommonDefaults(wanted);
  const storages = useStoragesFor(common.node, "images");
  const bridges = useBridges(common.node);
  const { data: kernels = [] } = useVolumes(common.node, "kernel");
  const only = (list: { volid: string }[]) => (list.length === 1 ? (list[0]?.volid ?? "") : "");
  const defaults: VmForm = {
    node: common.node,
    vmid: common.vmid,
    name: "",
    start: true,
    onboot: false,
    kernel: only(kernels.filter((v) => !isInitrd(v))),
    initrd: only(kernels.filter(isInitrd)),
    cmdline: DEFAULT_CMDLINE,
    storage: storages[0]?.value ?? "",
    source: "import",
    size: "8",
    image: "",
    cores: "1",
    memory: "1024",
    bridge: bridges[0]?.value ?? "vmbr0",
    mac: "",
  };
  const wizard = useWizardForm(defaults, STEPS, (form) => checkVm(form, common.taken));
  return { wizard, nodes: common.nodes };
}

export default function CreateVm({ node, onClose }: { node?: string | undefined; onClose: () => void }) {
  const { wizard, nodes } = useVmForm(node);
  const client = useQueryClient();
  const navigate = useNavigate();
  const { form } = wizard;
  const create = useMutation({ mutationFn: () => api.post("/nodes/{node}/qemu", vmParams(form)) });

  const refusal = unplaced(create.error, placeVmErrors(form, fieldsOf(create.error)).rest);

  async function finish(): Promise<string | undefined> {
    try {
      const upid = await create.mutateAsync();
      taskWatch.track(upid, `Create VM ${form.vmid} (${form.name})`);
      await client.invalidateQueries({ queryKey: ["tasks"] });
      void client.invalidateQueries({ queryKey: ["resources"] });
      onClose();
      void navigate(guestPath({ node: form.node, type: "qemu", vmid: Number(form.vmid) }));
      return undefined;
    } catch (error) {
      const { placed } = placeVmErrors(form, fieldsOf(error));
      wizard.refuse(placed);
      return stepOf<VmForm>(STEPS, (field) => placed[field] !== undefined);
    }
  }
  const status = (step: string) => (wizard.hasShown(step) ? ("error" as const) : ("default" as const));

  return (
    <WizardFrame
      title="Create virtual machine"
      description="Boots a Linux kernel directly, with one disk and one network card."
      verb="Create"
      wizard={wizard}
      pending={create.isPending}
      onFinish={finish}
      onClose={onClose}
    >
      <WizardStep id="general" name="General" status={status("general")}>
        <General wizard={wizard} nodes={nodes} error={refusal} />
      </WizardStep>
      <WizardStep id="boot" name="Boot" status={status("boot")}>
        <Boot wizard={wizard} error={refusal} />
      </WizardStep>
      <WizardStep id="disk" name="Disk" status={status("disk")}>
        <Disk wizard={wizard} error={refusal} />
      </WizardStep>
      <WizardStep id="size" name="CPU and memory" status={status("size")}>
        <StepForm error={refusal}>
          <TextField wizard={wizard} field="cores" label="Cores" numeric required />
          <TextField wizard={wizard} field="memory" label="Memory (MiB)" numeric required />
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
  wizard: Form;
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
      <TextField
        wizard={wizard}
        field="name"
        label="Name"
        required
        hint="Letters, digits and hyphens, as in a host name."
      />
      <TextField
        wizard={wizard}
        field="vmid"
        label="Number"
        numeric
        required
        hint="Identifies the guest; the next free one is filled in."
      />
    </StepForm>
  );
}

function Boot({ wizard, error }: StepProps) {
  const { node } = wizard.form;
  return (
    <StepForm error={error}>
      <VolumeField
        wizard={wizard}
        field="kernel"
        label="Kernel"
        node={node}
        kind="kernel"
        required
        empty="Choose a kernel"
      />
      <VolumeField
        wizard={wizard}
        field="initrd"
        label="Initial RAM disk"
        node={node}
        kind="kernel"
        empty="None"
        hint="Most distribution kernels need theirs."
      />
      <TextField
        wizard={wizard}
        field="cmdline"
        label="Kernel command line"
        hint="The disk is /dev/vda, the console ttyS0."
      />
    </StepForm>
  );
}

function Disk({ wizard, error }: StepProps) {
  const { node, source } = wizard.form;
  const storages = useStoragesFor(node, "images");
  return (
    <StepForm error={error}>
      <div role="radiogroup" aria-label="Disk" className="stack-tight">
        <Radio
          id="source-import"
          name="source"
          label="Import a disk image"
          description="A copy of an uploaded image becomes the disk."
          isChecked={source === "import"}
          onChange={() => wizard.set("source", "import")}
        />
        <Radio
          id="source-new"
          name="source"
          label="New empty disk"
          isChecked={source === "new"}
          onChange={() => wizard.set("source", "new")}
        />
      </div>
      {source === "import" ? (
        <VolumeField
          wizard={wizard}
          field="image"
          label="Disk image"
          node={node}
          kind="import"
          required
          empty="Choose an image"
        />
      ) : (
        <TextField wizard={wizard} field="size" label="Disk size (GiB)" numeric required />
      )}
      <SelectField
        wizard={wizard}
        field="storage"
        label="Storage"
        required
        options={storages}
        {...(storages.length === 0 ? { empty: "No storage takes VM disks" } : {})}
      />
    </StepForm>
  );
}

function Network({ wizard, error }: StepProps) {
  return (
    <StepForm error={error}>
      <SelectField
        wizard={wizard}
        field="bridge"
        label="Bridge"
        required
        options={useBridges(wizard.form.node)}
        hint="The card is of the virtio model."
      />
      <TextField
        wizard={wizard}
        field="mac"
        label="MAC address"
        placeholder="automatic"
        hint="Leave empty to have one made."
      />
    </StepForm>
  );
}

function Review({ wizard, error }: StepProps) {
  const { form } = wizard;
  const file = (volid: string) => (volid ? splitVolid(volid).file : "none");
  return (
    <StepForm error={error}>
      <Facts
        facts={{
          Name: `${form.name} (${form.vmid}) on ${form.node}`,
          Kernel: file(form.kernel),
          "Initial RAM disk": file(form.initrd),
          "Command line": form.cmdline,
          Disk:
            form.source === "import"
              ? `copy of ${file(form.image)} on ${form.storage}`
              : `${form.size} GiB on ${form.storage}`,
          Size: `${form.cores} core${form.cores === "1" ? "" : "s"}, ${bytes(Number(form.memory) * 1024 * 1024)} memory`,
          Network: `virtio on ${form.bridge}, MAC ${form.mac || "automatic"}`,
        }}
      />
      <div className="stack-tight">
        <CheckField wizard={wizard} field="start" label="Start after creation" />
        <CheckField wizard={wizard} field="onboot" label="Start when the host starts" />
      </div>
    </StepForm>
  );
}
