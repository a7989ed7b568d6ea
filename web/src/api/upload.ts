/** Sending a file, with progress. XMLHttpRequest, because fetch reports no upload progress. */
import { csrfHeader, dataOf } from "./client";
import { BASE, fillPath } from "./encode";
import { ApiError, errorFrom } from "./error";
import type { Upid } from "./types";

interface Sending {
  node: string;
  file: File;
  filename: string;
  onProgress: (sent: number, total: number) => void;
  signal?: AbortSignal;
}

export interface Upload extends Sending {
  storage: string;
  content: string;
}

/** Resolves with the task that moves the received file into place. */
export function upload({ storage, content, ...job }: Upload): Promise<Upid> {
  const { node } = job;
  return send(fillPath("/nodes/{node}/storage/{storage}/upload", { node, storage }).path, { content }, job);
}

/** Resolves with the task that installs the received bundle. */
export function uploadUpdate(job: Sending, options: Record<string, string>): Promise<Upid> {
  const { node } = job;
  return send(fillPath("/nodes/{node}/update/upload", { node }).path, options, job);
}

function send(path: string, fields: Record<string, string>, job: Sending): Promise<Upid> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("filename", job.file, job.filename);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}${path}`);
    for (const [name, value] of Object.entries(csrfHeader())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => job.onProgress(event.loaded, event.total || job.file.size);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve(String(dataOf(request.responseText)));
      else reject(errorFrom(request.status, request.statusText, request.responseText));
    };
    request.onerror = () => reject(new ApiError(0, "The connection broke during the upload."));
    request.onabort = () => reject(new ApiError(0, "The upload was cancelled."));
    job.signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
