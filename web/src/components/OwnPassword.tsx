/** The caller's own password, which changes of second factors are confirmed with. */
import { TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { fieldsOf } from "../api/error";
import { useUser } from "../api/session";
import { described, FormField } from "./FormField";

/** The one user whom the server asks for no password. */
const UNASKED = "root@pam";

export interface OwnPassword {
  needed: boolean;
  value: string;
  complaint: string | undefined;
  set: (value: string) => void;
  /** Says so when it is missing; true when the form may be sent. */
  check: () => boolean;
  /** What goes with the call. */
  params: { password?: string };
}

/** State of the field; complaints of the server come out of `error`. */
export function useOwnPassword(error: unknown): OwnPassword {
  const needed = useUser() !== UNASKED;
  const [value, setValue] = useState("");
  const [missing, setMissing] = useState(false);
  return {
    needed,
    value,
    complaint: missing ? "Enter the password you log in with." : fieldsOf(error)["password"],
    set(next) {
      setMissing(false);
      setValue(next);
    },
    check() {
      setMissing(needed && value === "");
      return !needed || value !== "";
    },
    params: needed ? { password: value } : {},
  };
}

export function OwnPasswordField({ password }: { password: OwnPassword }) {
  if (!password.needed) return null;
  return (
    <FormField
      id="own-password"
      label="Your password"
      required
      complaint={password.complaint}
      hint="The one you log in with: so that nobody changes this at an open screen."
    >
      <TextInput
        {...described("own-password", password.complaint)}
        type="password"
        autoComplete="current-password"
        value={password.value}
        onChange={(_event, value) => password.set(value)}
      />
    </FormField>
  );
}
