import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ACCESS } from "../api/accessQueries";
import { queries } from "../api/queries";
import { holds, type Permissions } from "../model/access";

/** What the caller may do, by path; undefined while it is not known. */
export function usePermissions(): Permissions | undefined {
  return useQuery(queries.ownPermissions()).data;
}

/**
 * Why the caller lacks a privilege on a path, as the end of "Disabled, because …". Unknown counts as
 * allowed: the server decides in the end.
 */
export function useWhyNotOn(): (path: string, privilege: string) => string | undefined {
  const own = usePermissions();
  return (path, privilege) =>
    own === undefined || holds(own, path, privilege)
      ? undefined
      : `your account lacks the privilege ${privilege} on ${path}`;
}

/** A change of users, permissions or pools, after which all of them are read again. */
export function useAccessJob<In, Out>(run: (input: In) => Promise<Out>, done: (made: Out) => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: async (made) => {
      await client.invalidateQueries({ queryKey: [ACCESS] });
      done(made);
    },
  });
}
