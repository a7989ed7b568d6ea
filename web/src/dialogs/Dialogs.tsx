/** Renders the open dialog; the larger ones are loaded on first use. */
import { lazy, Suspense } from "react";
import { ConfirmDialog } from "./ConfirmDialog";
import { closeDialog, useDialog, type Dialog } from "./store";

const CreateVm = lazy(() => import("./CreateVm"));
const CreateContainer = lazy(() => import("./CreateContainer"));
const UploadDialog = lazy(() => import("./UploadDialog"));
const UpdateDialog = lazy(() => import("./UpdateDialog"));
const UpdateSourceDialog = lazy(() => import("./UpdateSourceDialog"));
const AddFactor = lazy(() => import("./AddFactor"));
const ChangeFactor = lazy(() => import("./ChangeFactor"));
const RemoveFactor = lazy(() => import("./RemoveFactor"));
const RealmDialog = lazy(() => import("./RealmDialog"));
const NotifyDialog = lazy(() => import("./NotifyDialog"));
const SyncDialog = lazy(() => import("./SyncDialog"));
const StateDiskDialog = lazy(() => import("./StateDiskDialog"));
const CertificateDialog = lazy(() => import("./CertificateDialog"));
const TaskDialog = lazy(() => import("./TaskDialog"));

export function Dialogs() {
  const dialog = useDialog();
  return <Suspense>{dialog && <Opened dialog={dialog} />}</Suspense>;
}

function Opened({ dialog }: { dialog: Dialog }) {
  switch (dialog.kind) {
    case "confirm":
      return <ConfirmDialog {...dialog} onClose={closeDialog} />;
    case "create-vm":
      return <CreateVm node={dialog.node} onClose={closeDialog} />;
    case "create-container":
      return <CreateContainer node={dialog.node} onClose={closeDialog} />;
    case "upload":
      return <UploadDialog {...dialog} onClose={closeDialog} />;
    case "update":
      return <UpdateDialog node={dialog.node} onClose={closeDialog} />;
    case "update-source":
      return <UpdateSourceDialog node={dialog.node} onClose={closeDialog} />;
    case "factor-add":
      return <AddFactor userid={dialog.userid} type={dialog.type} onClose={closeDialog} />;
    case "factor-change":
      return <ChangeFactor userid={dialog.userid} factor={dialog.factor} onClose={closeDialog} />;
    case "factor-remove":
      return <RemoveFactor userid={dialog.userid} factor={dialog.factor} onClose={closeDialog} />;
    case "realm":
      return <RealmDialog type={dialog.type} realm={dialog.realm} onClose={closeDialog} />;
    case "realm-sync":
      return <SyncDialog realm={dialog.realm} onClose={closeDialog} />;
    case "notify":
      return <NotifyDialog what={dialog.what} name={dialog.name} onClose={closeDialog} />;
    case "state-disk":
      return <StateDiskDialog at={dialog.at} disk={dialog.disk} onClose={closeDialog} />;
    case "certificate":
      return <CertificateDialog node={dialog.node} onClose={closeDialog} />;
    case "task":
      return <TaskDialog key={dialog.task.upid} task={dialog.task} onClose={closeDialog} />;
  }
}
