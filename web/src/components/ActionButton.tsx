import { Button, Tooltip, type ButtonProps } from "@patternfly/react-core";

export interface ActionButtonProps extends Omit<ButtonProps, "ref" | "isAriaDisabled"> {
  /** Why it cannot be used now, as the end of "Disabled, because …". */
  disabledBecause?: string | undefined;
}

/** A button that, when it cannot be used, stays reachable and says why. */
export function ActionButton({ disabledBecause, ...props }: ActionButtonProps) {
  const button = <Button {...props} isAriaDisabled={disabledBecause !== undefined} />;
  if (disabledBecause === undefined) return button;
  return <Tooltip content={`Disabled, because ${disabledBecause}.`}>{button}</Tooltip>;
}
