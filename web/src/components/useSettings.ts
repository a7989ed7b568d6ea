import { useState } from "react";
import { fieldsOf } from "../api/error";
import {
  changeParams,
  complaints,
  refusalOf,
  shownValue,
  type Config,
  type Setting,
} from "../model/settings";

/**
 * State of a form of settings: what was edited, what is wrong with it, and the parameters that save it. `start` is what
 * a new thing has unless it is edited.
 */
export function useSettings(
  config: Config,
  settings: readonly Setting[],
  error: unknown,
  start: Readonly<Record<string, string>> = {},
) {
  const [edits, setEdits] = useState<Record<string, string>>(start);
  const [tried, setTried] = useState(false);
  const refused = fieldsOf(error);
  const wrong = complaints(config, settings, edits);
  const change = changeParams(config, settings, edits);
  return {
    change,
    changed: Object.keys(change).length > 0,
    wrong: Object.keys(wrong).length > 0,
    value: (setting: Setting) => edits[setting.key] ?? shownValue(config, setting),
    set: (setting: Setting, value: string) => setEdits((before) => ({ ...before, [setting.key]: value })),
    /** The complaint to show now: about fields that were touched, and after a try about all. */
    complaint(setting: Setting): string | undefined {
      const shown = tried || edits[setting.key] !== undefined;
      return (shown ? wrong[setting.key] : undefined) ?? refusalOf(refused, setting);
    },
    /** Shows every complaint; true when there is none. */
    check(): boolean {
      setTried(true);
      return Object.keys(wrong).length === 0;
    },
    reset() {
      setEdits(start);
      setTried(false);
    },
  };
}
