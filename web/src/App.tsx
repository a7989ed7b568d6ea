/** Routes and the things every page needs. Start reading here. */
import { Bullseye, Spinner } from "@patternfly/react-core";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, useEffect, useState, type ReactNode } from "react";
import { createBrowserRouter, Navigate, RouterProvider } from "react-router";
import { makeQueryClient } from "./api/queries";
import { keepFresh, useSession } from "./api/session";
import { LoginPage } from "./pages/LoginPage";
import { Layout } from "./shell/Layout";

const ApiPage = lazy(() => import("./pages/ApiPage"));
const DatacenterPage = lazy(() => import("./pages/DatacenterPage"));
const FactorsPage = lazy(() => import("./pages/FactorsPage"));
const NodePage = lazy(() => import("./pages/NodePage"));
const PoolPage = lazy(() => import("./pages/pools/PoolPage"));
const StoragePage = lazy(() => import("./pages/StoragePage"));
const GuestPage = lazy(() => import("./guest/GuestPage"));
const NotFoundPage = lazy(() => import("./pages/NotFoundPage"));

const router = createBrowserRouter([
  {
    path: "/",
    element: <Layout />,
    children: [
      { index: true, element: <DatacenterPage /> },
      { path: "datacenter/:tab?", element: <DatacenterPage /> },
      { path: "pools", element: <Navigate to="/datacenter/pools" replace /> },
      { path: "pools/*", element: <PoolPage /> },
      { path: "factors", element: <FactorsPage /> },
      { path: "api", element: <ApiPage /> },
      { path: "nodes/:node/storage/:storage/:tab?", element: <StoragePage /> },
      { path: "nodes/:node/:type/:vmid/:tab?", element: <GuestPage /> },
      { path: "nodes/:node/:tab?", element: <NodePage /> },
      { path: "nodes", element: <Navigate to="/" replace /> },
      { path: "*", element: <NotFoundPage /> },
    ],
  },
]);

export function App() {
  const session = useSession();
  useEffect(keepFresh, []);
  switch (session.phase) {
    case "restoring":
      return (
        <Bullseye className="full-height">
          <Spinner aria-label="Looking for your session" />
        </Bullseye>
      );
    case "out":
      return (
        <Fresh key="out">
          <LoginPage notice={session.notice} due={session.due} />
        </Fresh>
      );
    case "in":
      // The key drops everything read for one user before another sees it.
      return (
        <Fresh key={session.session.username}>
          <RouterProvider router={router} />
        </Fresh>
      );
  }
}

/** A query cache that lives as long as its key. */
function Fresh({ children }: { children: ReactNode }) {
  const [client] = useState(makeQueryClient);
  return <QueryClientProvider client={client}>{children}</QueryClientProvider>;
}
