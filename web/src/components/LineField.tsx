import { TextInput } from "@patternfly/react-core";
import { described, FormField } from "./FormField";

interface LineFieldProps {
  id: string;
  label: string;
  required?: boolean;
  hint?: string;
  complaint: string | undefined;
  value: string;
  /** A new password, the caller's present one, or a text. */
  secret?: "new" | "present";
  onChange: (value: string) => void;
}

/** A field of one line. */
export function LineField({
  id,
  label,
  required = false,
  hint,
  complaint,
  value,
  secret,
  onChange,
}: LineFieldProps) {
  return (
    <FormField id={id} label={label} required={required} hint={hint} complaint={complaint}>
      <TextInput
        {...described(id, complaint)}
        type={secret ? "password" : "text"}
        autoComplete={secret === "new" ? "new-password" : secret === "present" ? "current-password" : "off"}
        value={value}
        onChange={(_event, text) => onChange(text)}
      />
    </FormField>
  );
}
