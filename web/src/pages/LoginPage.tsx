import { Alert, Button, Form, FormSelect, FormSelectOption, TextInput } from "@patternfly/react-core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { ApiError, messageOf } from "../api/error";
import { queries } from "../api/queries";
import { answerChallenge, login } from "../api/session";
import type { Realm } from "../api/types";
import { FormField } from "../components/FormField";
import { usePageTitle } from "../components/usePageTitle";
import { Logo } from "../shell/Logo";

const FALLBACK_REALMS: Realm[] = [{ realm: "pam", type: "pam", comment: "Linux users of this host" }];

function refusal(error: unknown, challenged: boolean): string {
  if (!(error instanceof ApiError && error.status === 401)) return messageOf(error);
  // The server says more only where it gives nothing away: that one has to wait, or needs a second factor.
  if (error.message.includes(":")) return error.message;
  return challenged
    ? "The code is wrong, too late, or was used before."
    : "The user name, password or realm is wrong.";
}

export function LoginPage({ notice }: { notice?: string | undefined }) {
  usePageTitle("Log in");
  const realms = useQuery(queries.realms());
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [chosen, setChosen] = useState<string>();
  const [challenge, setChallenge] = useState<string>();
  const [code, setCode] = useState("");
  const [missing, setMissing] = useState<{ username?: string; password?: string; code?: string }>({});
  const list = realms.data?.length ? realms.data : FALLBACK_REALMS;
  const realm = chosen ?? (list.find((r) => r.default) ?? list[0])?.realm ?? "pam";
  const who = { username: username.trim(), realm };
  const attempt = useMutation({
    mutationFn: async () => {
      if (challenge) await answerChallenge(who, challenge, code.trim());
      else setChallenge(await login(who, password));
    },
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    const lacking = {
      ...(username.trim() ? {} : { username: "Enter your user name." }),
      ...(password ? {} : { password: "Enter your password." }),
      ...(!challenge || code.trim() ? {} : { code: "Enter a code." }),
    };
    setMissing(lacking);
    if (Object.keys(lacking).length === 0 && !attempt.isPending) attempt.mutate();
  }

  return (
    <main className="login">
      <Columns />
      <section className="login-card" aria-labelledby="login-title">
        <div className="login-brand">
          <Logo size={44} />
          <h1 id="login-title">Basalt</h1>
        </div>
        {notice && !attempt.error && <Alert isInline isPlain variant="info" title={notice} />}
        {attempt.error && (
          <Alert isInline variant="danger" title={refusal(attempt.error, challenge !== undefined)} />
        )}
        <Form onSubmit={submit} noValidate>
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
              onChange={(_event, value) => {
                setUsername(value);
                setChallenge(undefined);
              }}
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
              onChange={(_event, value) => {
                setPassword(value);
                setChallenge(undefined);
              }}
            />
          </FormField>
          <FormField id="realm" label="Realm">
            <FormSelect
              id="realm"
              value={realm}
              onChange={(_event, value) => {
                setChosen(value);
                setChallenge(undefined);
              }}
            >
              {list.map((r) => (
                <FormSelectOption
                  key={r.realm}
                  value={r.realm}
                  label={r.comment ? `${r.comment} (${r.realm})` : r.realm}
                />
              ))}
            </FormSelect>
          </FormField>
          {challenge && (
            <FormField
              id="code"
              label="Code of your second factor, or a recovery code"
              complaint={missing.code}
            >
              <TextInput
                id="code"
                value={code}
                autoComplete="one-time-code"
                autoCapitalize="none"
                spellCheck={false}
                autoFocus
                aria-describedby="code-help"
                validated={missing.code ? "error" : "default"}
                onChange={(_event, value) => setCode(value)}
              />
            </FormField>
          )}
          <Button
            type="submit"
            isBlock
            size="lg"
            isLoading={attempt.isPending}
            isDisabled={attempt.isPending}
          >
            Log in
          </Button>
        </Form>
      </section>
    </main>
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
