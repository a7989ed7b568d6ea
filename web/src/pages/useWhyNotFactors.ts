import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import { useMay, useUser } from "../api/session";

/** Why the caller cannot change somebody's second factors; the server's rules, told before it says no. */
export function useWhyNotFactors(): (userid: string) => string | undefined {
  const caller = useUser();
  const may = useMay();
  const { data: realms } = useQuery(queries.realms());
  const realm = caller.slice(caller.lastIndexOf("@") + 1);
  const elsewhere = realms?.find((r) => r.realm === realm)?.type === "openid";
  return (userid) => {
    if (caller === "root@pam") return undefined;
    if (userid === "root@pam") return "only root@pam changes its second factors";
    if (elsewhere) return "your realm has no password to confirm it with: ask an administrator";
    if (userid !== caller && !may("access", "User.Modify"))
      return "your account lacks the privilege User.Modify";
    return undefined;
  };
}
