/** How far a file is on its way to the server. */
import { Progress } from "@patternfly/react-core";
import { useRef, useState } from "react";
import { bytes, rate } from "../model/format";

interface Sent {
  sent: number;
  total: number;
  perSecond: number;
}

type Send<T> = (onProgress: (done: number, total: number) => void, signal: AbortSignal) => Promise<T>;

/** Measures a sending, and can end it. */
export function useSending() {
  const [sent, setSent] = useState<Sent>();
  const abort = useRef<AbortController>(undefined);
  async function sending<T>(send: Send<T>): Promise<T> {
    abort.current = new AbortController();
    const began = performance.now();
    const onProgress = (done: number, total: number) =>
      setSent({ sent: done, total, perSecond: done / Math.max((performance.now() - began) / 1000, 0.2) });
    try {
      return await send(onProgress, abort.current.signal);
    } finally {
      setSent(undefined);
    }
  }
  return { sent, sending, cancel: () => abort.current?.abort() };
}

export function UploadProgress({ sent, total, perSecond }: Sent) {
  const finished = sent >= total;
  return (
    <Progress
      aria-label="Upload progress"
      title={
        finished
          ? "Received; the server is checking it"
          : `${bytes(sent)} of ${bytes(total)} · ${rate(perSecond)}`
      }
      value={total > 0 ? (sent / total) * 100 : 0}
      label={`${Math.floor((sent / Math.max(total, 1)) * 100)} %`}
    />
  );
}
