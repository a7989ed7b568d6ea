/** Renders a part of the interface as the shell does, logged in as somebody. */
import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { makeQueryClient } from "../src/api/queries";
import { logout, restore } from "../src/api/session";
import { Dialogs } from "../src/dialogs/Dialogs";
import { closeDialog } from "../src/dialogs/store";
import type { Answer } from "./stub";

/** The answer to a ticket's renewal, and with it what its user may do. */
export function ticket(username: string, cap: Record<string, Record<string, number>>): Answer {
  return { data: { username, ticket: `PVE:${username}:6740AAAA::x`, CSRFPreventionToken: "t", cap } };
}

/** Picks up the session whose renewal the stub of `fetch` answers. */
export async function enter(username: string): Promise<void> {
  document.cookie = `PVEAuthCookie=${encodeURIComponent(`PVE:${username}:6740AAAA::x`)}; Path=/; Secure`;
  await restore();
}

/** Ends the session, and closes what is open. */
export function leave(): void {
  closeDialog();
  logout();
}

export function show(page: React.ReactElement): void {
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <MemoryRouter>
        {page}
        <Dialogs />
      </MemoryRouter>
    </QueryClientProvider>,
  );
}
