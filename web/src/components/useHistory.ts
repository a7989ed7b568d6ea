import { useSyncExternalStore } from "react";
import { history } from "../api/queries";
import type { Sample } from "../model/history";

/** The samples of a source, live. */
export function useHistory(source: string): readonly Sample[] {
  return useSyncExternalStore(history.subscribe, () => history.read(source));
}
