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
const UserDialog = lazy(() => import("./access/UserDialog"));
const PasswordDialog = lazy(() => import("./access/PasswordDialog"));
const GroupDialog = lazy(() => import("./access/GroupDialog"));
const MembersDialog = lazy(() => import("./access/MembersDialog"));
const RoleDialog = lazy(() => import("./access/RoleDialog"));
const AclDialog = lazy(() => import("./access/AclDialog"));
const TokenDialog = lazy(() => import("./access/TokenDialog"));
const PermissionsDialog = lazy(() => import("./access/PermissionsDialog"));
const PoolDialog = lazy(() => import("./PoolDialog"));
const PoolMembersDialog = lazy(() => import("./PoolMembersDialog"));
const NotifyDialog = lazy(() => import("./NotifyDialog"));
const SyncDialog = lazy(() => import("./SyncDialog"));
const StateDiskDialog = lazy(() => import("./StateDiskDialog"));
const GrowDiskDialog = lazy(() => import("./GrowDiskDialog"));
const CertificateDialog = lazy(() => import("./CertificateDialog"));
const SmartDialog = lazy(() => import("./SmartDialog"));
const ZfsPoolDialog = lazy(() => import("./ZfsPoolDialog"));
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
    case "user":
      return <UserDialog {...dialog} onClose={closeDialog} />;
    case "password":
      return <PasswordDialog {...dialog} onClose={closeDialog} />;
    case "group":
      return <GroupDialog {...dialog} onClose={closeDialog} />;
    case "members":
      return <MembersDialog {...dialog} onClose={closeDialog} />;
    case "role":
      return <RoleDialog {...dialog} onClose={closeDialog} />;
    case "acl":
      return <AclDialog {...dialog} onClose={closeDialog} />;
    case "token":
      return <TokenDialog {...dialog} onClose={closeDialog} />;
    case "permissions":
      return <PermissionsDialog {...dialog} onClose={closeDialog} />;
    case "pool":
      return <PoolDialog {...dialog} onClose={closeDialog} />;
    case "pool-members":
      return <PoolMembersDialog {...dialog} onClose={closeDialog} />;
    case "notify":
      return <NotifyDialog what={dialog.what} name={dialog.name} onClose={closeDialog} />;
    case "state-disk":
      return <StateDiskDialog at={dialog.at} disk={dialog.disk} onClose={closeDialog} />;
    case "grow-disk":
      return <GrowDiskDialog {...dialog} onClose={closeDialog} />;
    case "certificate":
      return <CertificateDialog node={dialog.node} onClose={closeDialog} />;
    case "smart":
      return <SmartDialog node={dialog.node} disk={dialog.disk} onClose={closeDialog} />;
    case "zfs-pool":
      return <ZfsPoolDialog node={dialog.node} name={dialog.name} onClose={closeDialog} />;
    case "task":
      return <TaskDialog key={dialog.task.upid} task={dialog.task} onClose={closeDialog} />;
  }
}
