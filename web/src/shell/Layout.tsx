/** The frame around every page: masthead, tree, content, tasks. */
import { Alert, Spinner } from "@patternfly/react-core";
import { Suspense, useState } from "react";
import { Outlet } from "react-router";
import { ApiError, messageOf } from "../api/error";
import { useInventory } from "../api/queries";
import { Dialogs } from "../dialogs/Dialogs";
import { Masthead } from "./Masthead";
import { TaskDrawer } from "./TaskDrawer";
import { Toasts } from "./toasts";
import { Tree } from "./Tree";

export function Layout() {
  const [treeOpen, setTreeOpen] = useState(false);
  return (
    <div className={`shell ${treeOpen ? "shell-tree-open" : ""}`}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <Masthead treeOpen={treeOpen} onToggleTree={() => setTreeOpen(!treeOpen)} />
      <nav className="sidebar" aria-label="Inventory">
        <Tree onNavigate={() => setTreeOpen(false)} />
      </nav>
      <div className="sidebar-veil" onClick={() => setTreeOpen(false)} />
      <main id="content" className="content" tabIndex={-1}>
        <ConnectionNote />
        <Suspense fallback={<Spinner className="content-spinner" aria-label="Loading the page" />}>
          <Outlet />
        </Suspense>
      </main>
      <TaskDrawer />
      <Dialogs />
      <Toasts />
    </div>
  );
}

/** Says so when the server stops answering; pages keep showing what they last knew. */
function ConnectionNote() {
  const { error, inventory } = useInventory();
  if (!error) return null;
  const lost = error instanceof ApiError && error.unreachable;
  return (
    <div className="note">
      <Alert
        isInline
        variant="warning"
        title={lost ? "No connection to the server" : "The inventory cannot be read"}
      >
        {lost
          ? inventory
            ? "What you see is the last known state. This page goes on by itself when the server answers again."
            : "This page goes on by itself when the server answers."
          : messageOf(error)}
      </Alert>
    </div>
  );
}
