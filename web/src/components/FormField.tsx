/** A form field: label, control, and below it a complaint or a hint. */
import { FormGroup, FormHelperText, HelperText, HelperTextItem } from "@patternfly/react-core";
import type { ReactNode } from "react";

export interface FormFieldProps {
  id: string;
  label: string;
  required?: boolean;
  hint?: ReactNode;
  complaint?: string | undefined;
  children: ReactNode;
}

export function FormField({ id, label, required, hint, complaint, children }: FormFieldProps) {
  return (
    <FormGroup fieldId={id} label={label} isRequired={Boolean(required)}>
      {children}
      {(complaint || hint) && (
        <FormHelperText>
          <HelperText id={`${id}-help`} aria-live="polite">
            <HelperTextItem variant={complaint ? "error" : "default"}>{complaint ?? hint}</HelperTextItem>
          </HelperText>
        </FormHelperText>
      )}
    </FormGroup>
  );
}

/** What ties a control to its field's message. */
export function described(id: string, complaint: string | undefined) {
  return {
    id,
    "aria-describedby": `${id}-help`,
    "aria-invalid": complaint !== undefined,
    validated: complaint === undefined ? ("default" as const) : ("error" as const),
  };
}
