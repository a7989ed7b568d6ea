import { useUser } from "../api/session";
import type { UserEntry } from "../api/schema";
import { useWhyNotOn } from "./usePermissions";
import { words } from "../model/access";
import { realmOf } from "../model/users";

type Which = Pick<UserEntry, "userid" | "groups">;

/** Why the caller cannot do something to a user, as the end of "Disabled, because …". */
export function useWhyNotUser() {
  const own = useUser();
  const whyNotOn = useWhyNotOn();

  /** Who may change one of a user's groups may change the user. */
  function change({ groups }: Which): string | undefined {
    const everywhere = whyNotOn("/access/groups", "User.Modify");
    const there = (group: string) => whyNotOn(`/access/groups/${group}`, "User.Modify") === undefined;
    return words(groups).some(there) ? undefined : everywhere;
  }
  return {
    change,
    /** Users and passwords come and go only by who has a right on their realm, too. */
    allocate: (user: Which) =>
      change(user) ?? whyNotOn(`/access/realm/${realmOf(user.userid)}`, "Realm.AllocateUser"),
    /** Everybody may do it for themselves. */
    ownOr: (user: Which, reason: string | undefined) => (user.userid === own ? undefined : reason),
    look: (userid: string) =>
      userid.split("!", 1)[0] === own ? undefined : whyNotOn("/access", "Sys.Audit"),
  };
}
