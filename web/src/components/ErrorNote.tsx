import { Alert, Button } from "@patternfly/react-core";
import { fieldsOf, messageOf } from "../api/error";

interface ErrorNoteProps {
  title: string;
  error: unknown;
  onRetry?: () => void;
}

/** An error in place: what failed, in the server's words, and a way to try again. */
export function ErrorNote({ title, error, onRetry }: ErrorNoteProps) {
  const fields = Object.entries(fieldsOf(error));
  return (
    <Alert
      isInline
      variant="danger"
      title={title}
      {...(onRetry
        ? {
            actionLinks: (
              <Button variant="link" isInline onClick={onRetry}>
                Try again
              </Button>
            ),
          }
        : {})}
    >
      <p>{messageOf(error)}</p>
      {fields.length > 0 && (
        <ul>
          {fields.map(([name, text]) => (
            <li key={name}>
              <code>{name}</code>: {text}
            </li>
          ))}
        </ul>
      )}
    </Alert>
  );
}
