import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { api } from "../../api/client";
import type { PoolEntry } from "../../api/schema";
import { RowAction } from "../../components/RowAction";
import { useWhyNotOn } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { poolPath } from "../../model/pools";
import { useRemoval } from "../access/removal";

/** What can be done to a pool in a list. */
export function PoolActions({ pool }: { pool: PoolEntry }) {
  const { poolid } = pool;
  const because = useWhyNotOn()(poolPath(poolid), "Pool.Allocate");
  const remove = useRemoval();
  return (
    <>
      <RowAction
        label={`Edit ${poolid}`}
        icon={<PencilIcon />}
        because={because}
        onClick={() => openDialog({ kind: "pool", pool })}
      />
      <RowAction
        label={`Remove ${poolid}`}
        icon={<TrashIcon />}
        because={because}
        onClick={() =>
          remove({
            title: `Remove the pool ${poolid}?`,
            body: "It must be empty. What was given on it goes with it.",
            run: () => api.delete("/pools", { poolid }),
          })
        }
      />
    </>
  );
}
