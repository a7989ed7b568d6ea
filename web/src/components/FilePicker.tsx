import { useState, type DragEvent } from "react";
import { bytes } from "../model/format";

interface FilePickerProps {
  id: string;
  file: File | undefined;
  disabled: boolean;
  onPick: (file: File) => void;
}

/** A place to drop a file on, or to choose one from. */
export function FilePicker({ id, file, disabled, onPick }: FilePickerProps) {
  const [over, setOver] = useState(false);
  function drop(event: DragEvent): void {
    event.preventDefault();
    setOver(false);
    const dropped = event.dataTransfer.files[0];
    if (dropped && !disabled) onPick(dropped);
  }
  return (
    <div
      className={`file-drop ${over ? "file-drop-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <input
        id={id}
        type="file"
        disabled={disabled}
        aria-describedby={`${id}-help`}
        onChange={(event) => {
          const chosen = event.target.files?.[0];
          if (chosen) onPick(chosen);
        }}
      />
      <span className="quiet">{file ? bytes(file.size) : "or drop it here"}</span>
    </div>
  );
}
