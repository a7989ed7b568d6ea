/** A new password, typed twice. */
import { useState } from "react";
import { fieldsOf } from "../../api/error";
import { LineField } from "../../components/LineField";
import { checkPassword } from "../../model/validate";

/** The API takes passwords of users from this length on. */
const SHORTEST = 8;

export interface NewPasswordState {
  first: string;
  second: string;
  complaint: string | undefined;
  setFirst: (value: string) => void;
  setSecond: (value: string) => void;
  /** Shows what is wrong; true when nothing is. */
  check: () => boolean;
  params: { password: string };
}

export function useNewPassword(error: unknown): NewPasswordState {
  const [first, setFirst] = useState("");
  const [second, setSecond] = useState("");
  const [tried, setTried] = useState(false);
  const wrong = checkPassword(first, second, SHORTEST);
  return {
    first,
    second,
    complaint: (tried ? wrong : undefined) ?? fieldsOf(error)["password"],
    setFirst,
    setSecond,
    check() {
      setTried(true);
      return wrong === undefined;
    },
    params: { password: first },
  };
}

export function NewPassword({ password }: { password: NewPasswordState }) {
  return (
    <>
      <LineField
        id="new-password"
        label="New password"
        required
        secret="new"
        hint={`At least ${SHORTEST} characters.`}
        complaint={password.complaint}
        value={password.first}
        onChange={password.setFirst}
      />
      <LineField
        id="repeated-password"
        label="Repeat the password"
        required
        secret="new"
        complaint={undefined}
        value={password.second}
        onChange={password.setSecond}
      />
    </>
  );
}
