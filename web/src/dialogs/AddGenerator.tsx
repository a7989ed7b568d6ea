/** Adds a code generator: shows its secret as a QR code and takes the first code as proof. */
import {
  ClipboardCopy,
  ExpandableSection,
  FormSelect,
  FormSelectOption,
  TextInput,
} from "@patternfly/react-core";
import { QRCodeSVG } from "qrcode.react";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { FormDialog } from "../components/FormDialog";
import { described, FormField } from "../components/FormField";
import { OwnPasswordField, useOwnPassword } from "../components/OwnPassword";
import { grouped, newSecret, otpauth, type Generator } from "../model/factors";
import { showToast } from "../shell/toasts";
import { NameField, useFactorJob } from "./factorForm";

const DIGITS = [6, 7, 8];
const PERIODS = [30, 60];

export function AddGenerator({ userid, onClose }: { userid: string; onClose: () => void }) {
  const [generator, setGenerator] = useState<Generator>(() => ({
    secret: newSecret(),
    digits: 6,
    period: 30,
  }));
  const [name, setName] = useState("");
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const address = otpauth(userid, generator);
  const digitsOf = code.replaceAll(" ", "");
  const job = useFactorJob(
    (proof) =>
      api.post("/access/tfa/{userid}", {
        userid,
        type: "totp",
        description: name.trim(),
        totp: address,
        value: digitsOf,
        ...proof,
      }),
    () => {
      showToast({ variant: "success", title: "The code generator is set up" });
      onClose();
    },
  );
  const password = useOwnPassword(job.error);
  const refused = fieldsOf(job.error);
  const right = new RegExp(`^\\d{${generator.digits}}$`).test(digitsOf);
  const nameless = tried && name.trim() === "" ? "Enter a name." : refused["description"];
  const wrong = tried && !right ? `Enter the ${generator.digits} digits that the app shows.` : undefined;

  function submit(): void {
    setTried(true);
    if (password.check() && right && name.trim() !== "") job.mutate(password.params);
  }
  return (
    <FormDialog
      title={`Add a code generator for ${userid}`}
      description="Scan the picture with an authenticator app, then enter the code it shows."
      verb="Add"
      pending={job.isPending}
      error={job.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <div className="qr">
        <QRCodeSVG
          value={address}
          size={184}
          marginSize={4}
          title={`QR code of the secret for ${userid}`}
          bgColor="#ffffff"
          fgColor="#000000"
        />
        <div className="stack-tight">
          <span>Or type this secret into the app:</span>
          <ClipboardCopy variant="inline-compact" isCode isBlock hoverTip="Copy the secret" clickTip="Copied">
            {grouped(generator.secret)}
          </ClipboardCopy>
        </div>
      </div>
      <NameField value={name} complaint={nameless} hint="Such as the device it is on." onChange={setName} />
      <FormField
        id="factor-code"
        label="Code"
        required
        complaint={wrong ?? refused["value"]}
        hint="It proves that the app has the secret."
      >
        <TextInput
          {...described("factor-code", wrong ?? refused["value"])}
          className="narrow"
          inputMode="numeric"
          autoComplete="one-time-code"
          value={code}
          onChange={(_event, value) => setCode(value)}
        />
      </FormField>
      <OwnPasswordField password={password} />
      <ExpandableSection toggleText="Length and life of codes" isIndented>
        <Choices generator={generator} complaint={refused["totp"]} onChange={setGenerator} />
      </ExpandableSection>
    </FormDialog>
  );
}

interface ChoicesProps {
  generator: Generator;
  complaint: string | undefined;
  onChange: (generator: Generator) => void;
}

/** Some realms demand other codes than the usual ones. */
function Choices({ generator, complaint, onChange }: ChoicesProps) {
  return (
    <div className="stack-tight">
      <FormField
        id="factor-digits"
        label="Digits"
        complaint={complaint}
        hint="Change these only when the realm demands it."
      >
        <FormSelect
          {...described("factor-digits", complaint)}
          value={generator.digits}
          onChange={(_event, value) => onChange({ ...generator, digits: Number(value) })}
        >
          {DIGITS.map((n) => (
            <FormSelectOption key={n} value={n} label={String(n)} />
          ))}
        </FormSelect>
      </FormField>
      <FormField id="factor-period" label="Seconds that a code is good for">
        <FormSelect
          {...described("factor-period", undefined)}
          value={generator.period}
          onChange={(_event, value) => onChange({ ...generator, period: Number(value) })}
        >
          {PERIODS.map((n) => (
            <FormSelectOption key={n} value={n} label={String(n)} />
          ))}
        </FormSelect>
      </FormField>
    </div>
  );
}
