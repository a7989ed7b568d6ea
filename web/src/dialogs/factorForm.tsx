/** What the dialogs of second factors share. */
import { TextInput } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { described, FormField } from "../components/FormField";
import type { OwnPassword } from "../components/OwnPassword";

/** The caller's own password, where the server wants it. */
type Proof = OwnPassword["params"];

/** A change of somebody's second factors; the lists are read again after it. */
export function useFactorJob<T>(run: (proof: Proof) => Promise<T>, onDone: (result: T) => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: async (result) => {
      await client.invalidateQueries({ queryKey: ["factors"] });
      onDone(result);
    },
  });
}

interface NameFieldProps {
  value: string;
  complaint: string | undefined;
  hint: string;
  onChange: (value: string) => void;
}

/** What the user calls the factor. */
export function NameField({ value, complaint, hint, onChange }: NameFieldProps) {
  return (
    <FormField id="factor-name" label="Name" required complaint={complaint} hint={hint}>
      <TextInput
        {...described("factor-name", complaint)}
        autoComplete="off"
        maxLength={255}
        value={value}
        onChange={(_event, text) => onChange(text)}
      />
    </FormField>
  );
}
