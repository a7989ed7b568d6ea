/** A control for a setting, whatever its kind. */
import { Checkbox, FormSelect, FormSelectOption, TextArea, TextInput } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { queries, useVolumes } from "../api/queries";
import { choose, chosen, type Choice, type Setting } from "../model/settings";
import { described, FormField } from "./FormField";

interface SettingFieldProps {
  setting: Setting;
  /** Node whose volumes and processors are on offer. */
  node?: string;
  value: string;
  complaint: string | undefined;
  isDisabled?: boolean;
  onChange: (value: string) => void;
}

/** Ids and names of API settings have characters that selectors dislike. */
function idOf(setting: Setting): string {
  return `setting-${setting.key.replace(/[^\w-]/g, "-")}`;
}

export function SettingField(props: SettingFieldProps) {
  const { setting, value, complaint, isDisabled = false, onChange } = props;
  const id = idOf(setting);
  if (setting.kind === "flag") {
    return (
      <Checkbox
        id={id}
        label={setting.label}
        description={complaint ?? setting.hint}
        isChecked={value === "1"}
        isDisabled={isDisabled}
        onChange={(_event, on) => onChange(on ? "1" : "0")}
      />
    );
  }
  return (
    <FormField
      id={id}
      label={setting.label}
      required={Boolean(setting.required)}
      hint={setting.hint}
      complaint={complaint}
    >
      <Control {...props} id={id} />
    </FormField>
  );
}

function Control({
  id,
  setting,
  node = "",
  value,
  complaint,
  isDisabled = false,
  onChange,
}: SettingFieldProps & { id: string }) {
  const common = { ...described(id, complaint), value, isDisabled };
  switch (setting.kind) {
    case "flag":
      return null;
    case "volume":
      return <BootFile {...common} node={node} onPick={onChange} />;
    case "cpu":
      return <Processor {...common} node={node} onPick={onChange} />;
    case "choice":
      return <Choices {...common} options={setting.options} onPick={onChange} />;
    case "several":
      return <Several id={id} setting={setting} value={value} isDisabled={isDisabled} onChange={onChange} />;
    case "lines":
      return (
        <TextArea
          {...common}
          rows={4}
          resizeOrientation="vertical"
          onChange={(_event, text) => onChange(text)}
        />
      );
    case "secret":
      return (
        <TextInput
          {...common}
          type="password"
          autoComplete="new-password"
          onChange={(_event, text) => onChange(text)}
        />
      );
    case "date":
      return (
        <TextInput {...common} type="date" className="narrow" onChange={(_event, day) => onChange(day)} />
      );
    case "text":
    case "number":
      return (
        <TextInput
          {...common}
          isRequired={Boolean(setting.required)}
          autoComplete="off"
          inputMode={setting.kind === "number" ? "numeric" : "text"}
          className={setting.kind === "number" ? "narrow" : ""}
          onChange={(_event, text) => onChange(text)}
        />
      );
  }
}

type Picking = ReturnType<typeof described> & {
  value: string;
  isDisabled: boolean;
  onPick: (value: string) => void;
};

/** One of a few; a value that is none of them is still shown. */
function Choices({ options, value, onPick, ...rest }: Picking & { options: readonly Choice[] }) {
  const known = options.some((option) => option.value === value);
  return (
    <FormSelect {...rest} value={value} onChange={(_event, picked) => onPick(picked)}>
      {!known && <FormSelectOption value={value} label={value || "–"} />}
      {options.map((option) => (
        <FormSelectOption key={option.value} value={option.value} label={option.label} />
      ))}
    </FormSelect>
  );
}

function BootFile({ node, ...rest }: Picking & { node: string }) {
  const { data: volumes = [] } = useVolumes(node, "kernel");
  const files = volumes.map(({ volid }) => ({ value: volid, label: volid }));
  return <Choices {...rest} options={[{ value: "", label: "None" }, ...files]} />;
}

function Processor({ node, ...rest }: Picking & { node: string }) {
  const { data: models = [] } = useQuery(queries.cpuModels(node));
  const options = models.map(({ name }) => ({
    value: name,
    label: name === "host" ? "host: all that this machine has" : name,
  }));
  return <Choices {...rest} options={options} />;
}

interface SeveralProps {
  id: string;
  setting: Setting & { kind: "several" };
  value: string;
  isDisabled: boolean;
  onChange: (value: string) => void;
}

function Several({ id, setting, value, isDisabled, onChange }: SeveralProps) {
  const words = chosen(setting, value);
  return (
    <div role="group" aria-label={setting.label} className="stack-tight choices">
      {setting.options.map((option) => (
        <Checkbox
          key={option.value}
          id={`${id}-${option.value}`}
          label={option.label}
          isChecked={words.includes(option.value)}
          isDisabled={isDisabled}
          onChange={(_event, on) =>
            onChange(choose(setting, on ? [...words, option.value] : words.filter((w) => w !== option.value)))
          }
        />
      ))}
    </div>
  );
}
