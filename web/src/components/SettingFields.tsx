import type { Setting } from "../model/settings";
import { SettingField } from "./SettingField";
import type { useSettings } from "./useSettings";

interface SettingFieldsProps {
  settings: readonly Setting[];
  form: ReturnType<typeof useSettings>;
}

/** The fields of a form of settings. */
export function SettingFields({ settings, form }: SettingFieldsProps) {
  return settings.map((setting) => (
    <SettingField
      key={setting.key}
      setting={setting}
      value={form.value(setting)}
      complaint={form.complaint(setting)}
      onChange={(value) => form.set(setting, value)}
    />
  ));
}
