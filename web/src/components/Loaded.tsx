import { Skeleton } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { ErrorNote } from "./ErrorNote";

/** What is read, and what is made of it. */
export interface LoadedProps<T> {
  /** What is read, as in "The users cannot be read". */
  what: string;
  query: { data: T | undefined; error: unknown; refetch: () => Promise<unknown> };
  children: (data: T) => ReactNode;
}

/** What a query found; until then a skeleton, or why it cannot be read. */
export function Loaded<T>({ what, query: { data, error, refetch }, children }: LoadedProps<T>) {
  if (data !== undefined) return children(data);
  if (error)
    return <ErrorNote title={`The ${what} cannot be read`} error={error} onRetry={() => void refetch()} />;
  return <Skeleton height="8rem" screenreaderText={`Loading ${what}`} />;
}
