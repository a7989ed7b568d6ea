/** The second factors of who is logged in. */
import { Alert, Skeleton } from "@patternfly/react-core";
import KeyIcon from "@patternfly/react-icons/dist/esm/icons/key-icon";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import { useUser } from "../api/session";
import { ErrorNote } from "../components/ErrorNote";
import { PageHead } from "../components/PageHead";
import { Panel } from "../components/Panel";
import { usePageTitle } from "../components/usePageTitle";
import { AddFactorButtons, FactorTable, NoFactors } from "./FactorTable";
import { useWhyNotFactors } from "./useWhyNotFactors";

export default function FactorsPage() {
  const user = useUser();
  usePageTitle("Second factors");
  const { data: factors, error, refetch } = useQuery(queries.factors(user));
  const whyNot = useWhyNotFactors();
  const because = whyNot(user);
  const counting = factors?.filter((factor) => factor.enable) ?? [];
  return (
    <>
      <PageHead icon={<KeyIcon />} title="Second factors" facts={user} />
      <div className="page-body stack">
        {error && !factors && (
          <ErrorNote
            title="Your second factors cannot be read"
            error={error}
            onRetry={() => void refetch()}
          />
        )}
        {counting.length > 0 && !counting.some((factor) => factor.type === "recovery") && (
          <Alert
            isInline
            variant="info"
            title="Make recovery codes, too: without them, a lost device locks you out"
          />
        )}
        <Panel
          title="What a login asks for besides the password"
          tools={factors && <AddFactorButtons userid={user} have={factors} because={because} />}
        >
          {!factors && !error && <Skeleton height="6rem" screenreaderText="Loading your second factors" />}
          {factors?.length === 0 && (
            <NoFactors text="Whoever learns your password can log in. A code generator on your phone, or a security key, prevents that." />
          )}
          {factors && factors.length > 0 && (
            <FactorTable rows={factors.map((factor) => ({ userid: user, factor }))} because={() => because} />
          )}
        </Panel>
      </div>
    </>
  );
}
