import { FormSelect, FormSelectOption } from "@patternfly/react-core";
import type { Choice } from "../model/settings";
import { described, FormField } from "./FormField";

interface ChoiceFieldProps {
  id: string;
  label: string;
  hint?: string | undefined;
  complaint?: string | undefined;
  options: readonly Choice[];
  /** What stands there while nothing is chosen. */
  empty?: string;
  value: string;
  onChange: (value: string) => void;
}

/** A field that is one of a few; with `empty`, something must be chosen. */
export function ChoiceField({
  id,
  label,
  hint,
  complaint,
  options,
  empty,
  value,
  onChange,
}: ChoiceFieldProps) {
  return (
    <FormField id={id} label={label} required={empty !== undefined} hint={hint} complaint={complaint}>
      <FormSelect {...described(id, complaint)} value={value} onChange={(_event, picked) => onChange(picked)}>
        {empty !== undefined && <FormSelectOption value="" label={empty} isPlaceholder />}
        {options.map((option) => (
          <FormSelectOption key={option.value} value={option.value} label={option.label} />
        ))}
      </FormSelect>
    </FormField>
  );
}
