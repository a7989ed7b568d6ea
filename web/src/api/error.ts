/** A refused or failed call, with the server's words and its complaints per field. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when no answer came at all. */
    readonly status: number,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** True when the server could not be reached, as opposed to having said no. */
  get unreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

interface ErrorBody {
  message?: unknown;
  errors?: unknown;
}

/** Reads an error from an answer: the body's message, else the reason phrase, else the bare status. */
export function errorFrom(status: number, reason: string, body: string): ApiError {
  const parsed = parseBody(body);
  const message = typeof parsed.message === "string" ? parsed.message.trim() : "";
  const fields: Record<string, string> = {};
  if (parsed.errors && typeof parsed.errors === "object") {
    for (const [key, text] of Object.entries(parsed.errors)) fields[key] = String(text).trim();
  }
  return new ApiError(
    status,
    message || reason.trim() || `The server answered with status ${status}.`,
    fields,
  );
}

function parseBody(body: string): ErrorBody {
  try {
    const value: unknown = JSON.parse(body);
    return value && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/** The words to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The complaints per field, if the error carries any. */
export function fieldsOf(error: unknown): Readonly<Record<string, string>> {
  return error instanceof ApiError ? error.fields : {};
}
