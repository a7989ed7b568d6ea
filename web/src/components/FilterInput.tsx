import { SearchInput } from "@patternfly/react-core";

interface FilterInputProps {
  /** What is filtered, as in "Filter users". */
  what: string;
  value: string;
  onChange: (value: string) => void;
}

/** Leaves of a list what contains a text. */
export function FilterInput({ what, value, onChange }: FilterInputProps) {
  return (
    <SearchInput
      aria-label={`Filter ${what}`}
      placeholder="Filter"
      value={value}
      onChange={(_event, text) => onChange(text)}
      onClear={() => onChange("")}
    />
  );
}

/** Whether one of the texts contains what is looked for. */
export function matches(filter: string, ...texts: (string | undefined)[]): boolean {
  const wanted = filter.trim().toLowerCase();
  return texts.some((text) => text?.toLowerCase().includes(wanted));
}
