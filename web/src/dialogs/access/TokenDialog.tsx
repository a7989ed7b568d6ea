/** Makes an API token and shows its secret, this once; or changes one. */
import {
  Alert,
  Button,
  Checkbox,
  ClipboardCopy,
  FormGroup,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import { queries } from "../../api/queries";
import type { TokenEntry, TokenSecret } from "../../api/schema";
import { useUser } from "../../api/session";
import { ActionButton } from "../../components/ActionButton";
import { ChoiceField } from "../../components/ChoiceField";
import { FormDialog } from "../../components/FormDialog";
import { SettingFields } from "../../components/SettingFields";
import { LineField } from "../../components/LineField";
import { useAccessJob, usePermissions } from "../../components/usePermissions";
import { useSettings } from "../../components/useSettings";
import { useWhyNotUser } from "../../components/useWhyNotUser";
import { checkIdentifier, mayGiveSomewhere } from "../../model/access";
import { TOKEN_SETTINGS } from "../../model/users";
import { openDialog } from "../store";

interface TokenDialogProps {
  /** Whose; the caller's when absent. */
  userid?: string | undefined;
  /** The token to change; a new one when absent. */
  token?: TokenEntry | undefined;
  onClose: () => void;
}

export default function TokenDialog({ userid, token, onClose }: TokenDialogProps) {
  const [made, setMade] = useState<TokenSecret>();
  if (made) return <Secret made={made} onClose={onClose} />;
  if (userid && token) return <ChangeToken userid={userid} token={token} onClose={onClose} />;
  return <AddToken onMade={setMade} onClose={onClose} />;
}

interface ChangeTokenProps {
  userid: string;
  token: TokenEntry;
  onClose: () => void;
}

function ChangeToken({ userid, token, onClose }: ChangeTokenProps) {
  const { tokenid, expire, privsep, comment } = token;
  const job = useAccessJob(
    (change: Record<string, string>) =>
      api.put("/access/users/{userid}/token/{tokenid}", { userid, tokenid, ...change }),
    onClose,
  );
  const form = useSettings({ expire, privsep, comment }, TOKEN_SETTINGS, job.error);
  return (
    <FormDialog
      title={`API token ${userid}!${tokenid}`}
      verb="Save"
      pending={job.isPending}
      error={job.error}
      blocked={!form.changed}
      onSubmit={() => form.check() && job.mutate(form.change)}
      onClose={onClose}
    >
      <SettingFields settings={TOKEN_SETTINGS} form={form} />
    </FormDialog>
  );
}

interface AddTokenProps {
  onMade: (made: TokenSecret) => void;
  onClose: () => void;
}

/** Everybody makes tokens for themselves; who may change others, for those, too. */
function AddToken({ onMade, onClose }: AddTokenProps) {
  const own = useUser();
  const whyNot = useWhyNotUser();
  const { data: users = [] } = useQuery(queries.users());
  const [userid, setUserid] = useState(own);
  const [tokenid, setTokenid] = useState("");
  const [tried, setTried] = useState(false);
  const job = useAccessJob(
    (change: Record<string, string>) =>
      api.post("/access/users/{userid}/token/{tokenid}", { userid, tokenid, ...change }),
    onMade,
  );
  const form = useSettings({}, TOKEN_SETTINGS, job.error);
  const refused = fieldsOf(job.error);
  const wrong = tokenid.length === 1 ? "Use at least 2 characters." : checkIdentifier(tokenid);
  const others = users.filter((user) => user.userid !== own && whyNot.change(user) === undefined);
  const names = [own, ...others.map((user) => user.userid)];

  function submit(): void {
    setTried(true);
    if (form.check() && wrong === undefined) job.mutate(form.change);
  }
  // Who closes this while the token is made never sees its secret.
  return (
    <FormDialog
      title="Make an API token"
      description="A program signs in with it instead of a password. Its secret is shown once."
      verb="Make"
      pending={job.isPending}
      error={job.error}
      onSubmit={submit}
      onClose={() => !job.isPending && onClose()}
    >
      <ChoiceField
        id="token-user"
        label="User"
        complaint={refused["userid"]}
        options={names.map((name) => ({ value: name, label: name }))}
        value={userid}
        onChange={setUserid}
      />
      <LineField
        id="token-name"
        label="Name"
        required
        hint="Such as the program that uses it. It cannot be changed later."
        complaint={(tried ? wrong : undefined) ?? refused["tokenid"]}
        value={tokenid}
        onChange={setTokenid}
      />
      <SettingFields settings={TOKEN_SETTINGS} form={form} />
    </FormDialog>
  );
}

/** Stays until the reader says that the secret is kept: it cannot be shown again. */
function Secret({ made, onClose }: { made: TokenSecret; onClose: () => void }) {
  const [kept, setKept] = useState(false);
  const own = usePermissions();
  const id = made["full-tokenid"];
  return (
    <Modal variant="small" isOpen aria-labelledby="secret-title">
      <ModalHeader title={`Secret of ${id}`} labelId="secret-title" />
      <ModalBody>
        <div className="stack">
          <Alert isInline variant="warning" title="It is not shown again" />
          <FormGroup label="Token" fieldId="secret-token">
            <ClipboardCopy
              inputId="secret-token"
              isReadOnly
              hoverTip="Copy the token's name"
              clickTip="Copied"
              textAriaLabel="Token"
            >
              {id}
            </ClipboardCopy>
          </FormGroup>
          <FormGroup label="Secret" fieldId="secret-value">
            <ClipboardCopy
              inputId="secret-value"
              isReadOnly
              hoverTip="Copy the secret"
              clickTip="Copied"
              textAriaLabel="Secret"
            >
              {made.value}
            </ClipboardCopy>
          </FormGroup>
          {made.info.privsep ? (
            <p>The token may do nothing until something is given to it under Permissions.</p>
          ) : null}
          <Checkbox
            id="secret-kept"
            label="I have put it where I find it"
            isChecked={kept}
            onChange={(_event, on) => setKept(on)}
          />
        </div>
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={!kept} onClick={onClose}>
          Close
        </Button>
        {made.info.privsep ? (
          <ActionButton
            variant="secondary"
            disabledBecause={
              own && !mayGiveSomewhere(own)
                ? "your account lacks the privilege Permissions.Modify"
                : kept
                  ? undefined
                  : "the secret is not kept yet"
            }
            onClick={() => openDialog({ kind: "acl", to: { kind: "token", id } })}
          >
            Give it a role
          </ActionButton>
        ) : null}
      </ModalFooter>
    </Modal>
  );
}
