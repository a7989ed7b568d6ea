import { Alert, Button, Form, FormSelect, FormSelectOption, TextInput } from "@patternfly/react-core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { ApiError, messageOf } from "../api/error";
import { beginOpenId } from "../api/openid";
import { queries } from "../api/queries";
import { answerWithCode, answerWithKey, login, type Due } from "../api/session";
import type { Realm } from "../api/types";
import { keysWork } from "../api/webauthn";
import { FormField } from "../components/FormField";
import { usePageTitle } from "../components/usePageTitle";
import { Logo } from "../shell/Logo";

const FALLBACK_REALMS: Realm[] = [{ realm: "pam", type: "pam", comment: "Linux users of this host" }];

function refusal(error: unknown, challenged: boolean): string {
  if (!(error instanceof ApiError && error.status === 401)) return messageOf(error);
  // The server says more only where it gives nothing away: that one has to wait, or needs a second factor.
  if (error.message.includes(":")) return error.message;
  return challenged
    ? "The second factor is wrong, too late, or was used before."
    : "The user name, password or realm is wrong.";
}

export interface LoginPageProps {
  notice?: string | undefined;
  /** A login at a provider that owes a second factor. */
  due?: Due | undefined;
}

export function LoginPage({ notice, due: returned }: LoginPageProps) {
  usePageTitle("Log in");
  const [due, setDue] = useState(returned);
  return (
    <main className="login">
      <Columns />
      <section className="login-card" aria-labelledby="login-title">
        <div className="login-brand">
          <Logo size={44} />
          <h1 id="login-title">Basalt</h1>
        </div>
        {due ? (
          <SecondFactor due={due} back={() => setDue(undefined)} />
        ) : (
          <FirstFactor notice={notice} passed={setDue} />
        )}
      </section>
    </main>
  );
}

/** Who logs in, and the password; or the way to a provider. */
function FirstFactor({ notice, passed }: { notice: string | undefined; passed: (due: Due) => void }) {
  const realms = useQuery(queries.realms());
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [chosen, setChosen] = useState<string>();
  const [missing, setMissing] = useState<{ username?: string; password?: string }>({});
  const list = realms.data?.length ? realms.data : FALLBACK_REALMS;
  const realm = list.find((r) => r.realm === chosen) ?? list.find((r) => r.default) ?? list[0];
  const name = realm?.realm ?? "pam";
  const elsewhere = realm?.type === "openid";
  const attempt = useMutation({
    mutationFn: async () => {
      if (elsewhere) return window.location.assign(await beginOpenId(name));
      const who = { username: username.trim(), realm: name };
      const challenge = await login(who, password);
      if (challenge) passed({ who, challenge });
    },
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    const lacking = {
      ...(elsewhere || username.trim() ? {} : { username: "Enter your user name." }),
      ...(elsewhere || password ? {} : { password: "Enter your password." }),
    };
    setMissing(lacking);
    if (Object.keys(lacking).length === 0 && !attempt.isPending) attempt.mutate();
  }

  return (
    <>
      {notice && !attempt.error && <Alert isInline isPlain variant="info" title={notice} />}
      {attempt.error && <Alert isInline variant="danger" title={refusal(attempt.error, false)} />}
      <Form onSubmit={submit} noValidate>
        {!elsewhere && (
          <>
            <FormField id="username" label="User name" complaint={missing.username}>
              <TextInput
                id="username"
                value={username}
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
                autoFocus
                aria-describedby="username-help"
                validated={missing.username ? "error" : "default"}
                onChange={(_event, value) => setUsername(value)}
              />
            </FormField>
            <FormField id="password" label="Password" complaint={missing.password}>
              <TextInput
                id="password"
                type="password"
                value={password}
                autoComplete="current-password"
                aria-describedby="password-help"
                validated={missing.password ? "error" : "default"}
                onChange={(_event, value) => setPassword(value)}
              />
            </FormField>
          </>
        )}
        <FormField id="realm" label="Realm">
          <FormSelect id="realm" value={name} onChange={(_event, value) => setChosen(value)}>
            {list.map((r) => (
              <FormSelectOption
                key={r.realm}
                value={r.realm}
                label={r.comment ? `${r.comment} (${r.realm})` : r.realm}
              />
            ))}
          </FormSelect>
        </FormField>
        <Button type="submit" isBlock size="lg" isLoading={attempt.isPending} isDisabled={attempt.isPending}>
          {elsewhere ? `Log in with ${realm?.comment ?? name}` : "Log in"}
        </Button>
      </Form>
    </>
  );
}

/** A code, or the touch of a security key. */
function SecondFactor({ due, back }: { due: Due; back: () => void }) {
  const [code, setCode] = useState("");
  const [missing, setMissing] = useState<string>();
  const byCode = useMutation({ mutationFn: () => answerWithCode(due, code.trim()) });
  const byKey = useMutation({ mutationFn: () => answerWithKey(due) });
  const { totp, recovery, webauthn } = due.challenge;
  const key = webauthn !== undefined && keysWork();
  const codes = totp || recovery.length > 0;
  const error = byCode.error ?? byKey.error;
  const pending = byCode.isPending || byKey.isPending;

  function submit(event: FormEvent): void {
    event.preventDefault();
    setMissing(code.trim() ? undefined : "Enter a code.");
    if (!code.trim() || pending) return;
    byKey.reset();
    byCode.mutate();
  }

  function touch(): void {
    byCode.reset();
    byKey.mutate();
  }

  return (
    <>
      {error && <Alert isInline variant="danger" title={refusal(error, true)} />}
      {!key && !codes && (
        <Alert
          isInline
          variant="warning"
          title="Your second factor cannot be used here. Open Basalt by the name your security key was added with."
        />
      )}
      <Form onSubmit={submit} noValidate>
        {key && (
          <Button
            variant={codes ? "secondary" : "primary"}
            isBlock
            size="lg"
            autoFocus
            isLoading={byKey.isPending}
            isDisabled={pending}
            onClick={touch}
          >
            Use your security key
          </Button>
        )}
        {codes && (
          <>
            <FormField id="code" label="Code of your second factor, or a recovery code" complaint={missing}>
              <TextInput
                id="code"
                value={code}
                autoComplete="one-time-code"
                autoCapitalize="none"
                spellCheck={false}
                autoFocus={!key}
                aria-describedby="code-help"
                validated={missing ? "error" : "default"}
                onChange={(_event, value) => setCode(value)}
              />
            </FormField>
            <Button type="submit" isBlock size="lg" isLoading={byCode.isPending} isDisabled={pending}>
              Log in
            </Button>
          </>
        )}
        <Button variant="link" isBlock isDisabled={pending} onClick={back}>
          Log in as somebody else
        </Button>
      </Form>
    </>
  );
}

/** Heights of the columns behind the form, left to right. */
const COLUMNS = [34, 46, 28, 40, 58, 44, 66, 50, 38, 54, 72, 60, 48, 64, 42, 56, 36, 52, 30, 44];

/** A quiet row of basalt columns at the foot of the page. */
function Columns() {
  return (
    <svg
      className="login-columns"
      viewBox="0 0 400 100"
      preserveAspectRatio="xMidYMax slice"
      aria-hidden="true"
    >
      {COLUMNS.map((height, i) => {
        const x = i * 20;
        const top = 100 - height;
        return (
          <g key={x} className={`column column-${i % 3}`}>
            <path d={`M${x} ${top}l10 -5 10 5V100H${x}Z`} />
            <path className="column-top" d={`M${x} ${top}l10 -5 10 5 -10 5Z`} />
          </g>
        );
      })}
    </svg>
  );
}
