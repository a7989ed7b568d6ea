/** Adds a second factor: each kind has a dialog of its own. */
import type { FactorType } from "../api/schema";
import { AddGenerator } from "./AddGenerator";
import { AddKey } from "./AddKey";
import { AddRecovery } from "./AddRecovery";

interface AddFactorProps {
  userid: string;
  type: FactorType;
  onClose: () => void;
}

export default function AddFactor({ userid, type, onClose }: AddFactorProps) {
  switch (type) {
    case "totp":
      return <AddGenerator userid={userid} onClose={onClose} />;
    case "recovery":
      return <AddRecovery userid={userid} onClose={onClose} />;
    case "webauthn":
      return <AddKey userid={userid} onClose={onClose} />;
  }
}
